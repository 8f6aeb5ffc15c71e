"""A frame with its predicted and true boxes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

# Okabe and Ito's orange and sky blue: told apart under every common colour blindness.
PREDICTED: Colour = (230, 159, 0)
TRUE: Colour = (86, 180, 233)
TEXT_PIXELS = 11
DASH_PIXELS = 5


def draw_detections(
    frame: Picture,
    predicted: Iterable[Mapping[str, Any]],
    truth: Iterable[Mapping[str, Any]],
    classes: Sequence[str],
    *,
    scale: int = 1,
) -> Picture:
    """Draws predicted boxes in solid orange, true boxes in dashed blue, with class and score.

    Args:
        frame: (H, W, 3), RGB.
        predicted: Rows of `PREDICTIONS_SCHEMA` on this frame; of each tube only its best class is drawn.
        truth: Rows of `TUBES_SCHEMA` on this frame.
        classes: Class names.
        scale: Whole factor by which the picture is enlarged first, for small videos.

    Returns:
        (scale · H, scale · W, 3).
    """
    image = Image.fromarray(np.repeat(np.repeat(frame, scale, axis=0), scale, axis=1))
    draw = ImageDraw.Draw(image)
    for row in truth:
        corners = _corners(row, scale)
        _dashed_rectangle(draw, corners)
        _label(draw, image.size, classes[row["class_id"]], (corners[0], corners[3] - TEXT_PIXELS - 3), TRUE)
    for row in best_class_of_each_tube(predicted):
        corners = _corners(row, scale)
        draw.rectangle(corners, outline=PREDICTED, width=2)
        _label(draw, image.size, f"{classes[row['class_id']]} {row['score']:.2f}", corners[:2], PREDICTED)
    return np.asarray(image)


def best_class_of_each_tube(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of the rows of one frame, for each tube the one of highest score; the last is the best of all."""
    best: dict[str, Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["score"], -row["class_id"], row["tube_id"])):
        best.pop(row["tube_id"], None)
        best[row["tube_id"]] = row
    return list(best.values())


def _corners(row: Mapping[str, Any], scale: int) -> tuple[int, int, int, int]:
    """First and last pixel of a box, both drawn; x2 and y2 of the row are exclusive."""
    x1, y1 = round(row["x1"] * scale), round(row["y1"] * scale)
    return x1, y1, max(round(row["x2"] * scale) - 1, x1), max(round(row["y2"] * scale) - 1, y1)


def _dashed_rectangle(draw: ImageDraw.ImageDraw, corners: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = corners
    for start in range(x1, x2 + 1, 2 * DASH_PIXELS):
        end = min(start + DASH_PIXELS - 1, x2)
        draw.rectangle((start, y1, end, min(y1 + 1, y2)), fill=TRUE)
        draw.rectangle((start, max(y2 - 1, y1), end, y2), fill=TRUE)
    for start in range(y1, y2 + 1, 2 * DASH_PIXELS):
        end = min(start + DASH_PIXELS - 1, y2)
        draw.rectangle((x1, start, min(x1 + 1, x2), end), fill=TRUE)
        draw.rectangle((max(x2 - 1, x1), start, x2, end), fill=TRUE)


def _label(
    draw: ImageDraw.ImageDraw, picture: tuple[int, int], text: str, place: tuple[int, int], colour: Colour
) -> None:
    """Dark text on a coloured ground, pushed inside the picture where it would leave it."""
    font = ImageFont.load_default(TEXT_PIXELS)
    width, height = (int(edge) + 1 for edge in draw.textbbox((0, 0), text, font=font)[2:])
    x, y = (max(0, min(place[axis], picture[axis] - (width, height)[axis])) for axis in (0, 1))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    draw.text((x, y), text, fill=(0, 0, 0), font=font)
