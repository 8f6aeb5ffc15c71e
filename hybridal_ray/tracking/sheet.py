"""A sheet: pictures and captions placed by pixel, for figures that are grids of frames."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hybridal_ray.tracking.style import FAINT, GRID, INK

PIXELS_PER_INCH = 100
_POINTS_PER_PIXEL = 72 / PIXELS_PER_INCH

Picture = npt.NDArray[np.uint8]


def fit_size(width: int, height: int, box_width: int, box_height: int) -> tuple[int, int]:
    """The largest (H, W), at least 1 × 1, at which a picture of that shape lies inside the box."""
    scale = min(box_width / width, box_height / height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def tile_height(shapes: Iterable[tuple[int, int]], width: int) -> int:
    """How tall tiles of that width are, so that the middle one of the (W, H) shapes fills its tile.

    Very flat or tall pictures do not set the shape of the sheet: the height stays within half and 1.25 times the width.
    """
    ratios = sorted(tall / wide for wide, tall in shapes)
    ratio = ratios[len(ratios) // 2] if ratios else 0.75
    return round(width * min(max(ratio, 0.5), 1.25))


class Sheet:
    """A white page with the origin in its top left corner; all lengths are pixels at 100 to the inch.

    Args:
        width: Of the page.
        height: Of the page.
    """

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH))
        self._axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._axes.set(xlim=(0, width), ylim=(height, 0))

    def picture(self, x: float, y: float, width: float, height: float, picture: Picture | None) -> None:
        """Places a picture, (H, W, 3) uint8, as large as fits the box and in its middle; None leaves a grey box."""
        self._axes.add_patch(Rectangle((x, y), width, height, facecolor=GRID, edgecolor="none"))
        if picture is None:
            self.text(x + width / 2, y + height / 2, "cannot be decoded", size=10, colour=FAINT, align="center")
            return
        tall, wide = fit_size(picture.shape[1], picture.shape[0], int(width), int(height))
        left, top = x + (width - wide) / 2, y + (height - tall) / 2
        limits = self._axes.axis()
        self._axes.imshow(
            picture, extent=(left, left + wide, top + tall, top), aspect="auto", interpolation="antialiased", zorder=2
        )
        self._axes.axis(limits)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        colour: str = INK,
        bold: bool = False,
        align: str = "left",
    ) -> None:
        """Writes a line whose middle is at height `y`; `size` is the height of the letters."""
        self._axes.text(
            x,
            y,
            text,
            fontsize=size * _POINTS_PER_PIXEL,
            color=colour,
            fontweight="bold" if bold else "normal",
            ha=align,
            va="center",
            parse_math=False,
        )

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle."""
        self._axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="none", zorder=3))


def shorten(text: str, letters: int) -> str:
    """Leaves the middle out of a text that is longer than that many letters."""
    if len(text) <= letters:
        return text
    head = (letters - 1) // 2
    return f"{text[:head]}…{text[len(text) - (letters - 1 - head) :]}"
