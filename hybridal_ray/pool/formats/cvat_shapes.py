"""Boxes and masks of a CVAT track."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from hybridal_ray.errors import UserError
from hybridal_ray.pool.containers import MAX_PIXELS
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.rotated import around
from hybridal_ray.pool.masks import BoolMask, box_of_mask, encode_mask

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class CroppedMask:
    """A mask as the file has it; its pixels, which are thousands of times as much, are made one mask at a time.

    Attributes:
        left: In pixels of the annotated picture.
        top: See `left`.
        width: See `left`.
        height: See `left`.
        runs: Row-major over the crop, the first of background.
    """

    left: int
    top: int
    width: int
    height: int
    runs: npt.NDArray[np.int32]

    def pixels(self) -> BoolMask:
        """(H, W) of the crop."""
        return np.repeat(np.arange(len(self.runs)) % 2 == 1, self.runs).reshape(self.height, self.width)

    def on_video(self, picture: tuple[int, int], facts: VideoFacts) -> tuple[str, Box] | None:
        """The mask on the video's picture, by the nearest pixel, as COCO RLE counts, and the box around it there.

        Args:
            picture: Width and height of the annotated picture.
            facts: Of the video.

        Returns:
            None where the mask reaches beyond the picture, or nothing of it is left.
        """
        if self.left < 0 or self.top < 0:
            return None
        if self.left + self.width > picture[0] or self.top + self.height > picture[1]:
            return None
        # Of the middle of each pixel of the video, the place in the mask.
        columns = ((np.arange(facts.width) + 0.5) * picture[0] / facts.width).astype(np.int64) - self.left
        rows = ((np.arange(facts.height) + 0.5) * picture[1] / facts.height).astype(np.int64) - self.top
        across, down = (columns >= 0) & (columns < self.width), (rows >= 0) & (rows < self.height)
        whole = np.zeros((facts.height, facts.width), dtype=bool)
        whole[np.ix_(down, across)] = self.pixels()[np.ix_(rows[down], columns[across])]
        box = box_of_mask(whole)
        return None if box is None else (encode_mask(whole), box)


@dataclass(frozen=True)
class Shape:
    """An object on one frame.

    Attributes:
        frame: Absolute in the source video, from 0.
        outside: Whether it is gone from this frame on.
        box: (x1, y1, x2, y2) in pixels of the annotated picture.
        mask: None for a box.
        attributes: By name.
    """

    frame: int
    outside: bool
    box: Box
    mask: CroppedMask | None
    attributes: Mapping[str, str]


def read_shapes(track: Element, location: str) -> Sequence[Shape]:
    """The boxes and masks of a ``<track>``, in the order of the file.

    Raises:
        UserError: One of them is malformed; the message names track and frame.
    """
    return [_read_shape(element, track, location) for element in track if element.tag in ("box", "mask")]


def _read_shape(element: Element, track: Element, location: str) -> Shape:
    try:
        attributes = {part.get("name", ""): part.text or "" for part in element.findall("attribute")}
        frame = int(element.attrib["frame"])
        if frame < 0:
            raise ValueError("its frame lies before the first")
        outside = element.get("outside", "0") == "1"
        if element.tag == "mask":
            mask = _read_mask(element)
            crop = (mask.left, mask.top, mask.left + mask.width, mask.top + mask.height)
            return Shape(frame, outside, crop, mask, attributes)
        edges = [float(element.attrib[edge]) for edge in ("xtl", "ytl", "xbr", "ybr")]
        if not np.isfinite(edges).all():
            raise ValueError(f"an edge of {edges} is not finite")
        x1, y1, x2, y2 = edges
        angle = float(element.get("rotation", "0"))
        box = around(x1, y1, x2 - x1, y2 - y1, angle, about_centre=True) if angle else (x1, y1, x2, y2)
        return Shape(frame, outside, box, None, attributes)
    except (KeyError, ValueError, OverflowError) as error:
        where = f"track {track.get('id', '')!r}, frame {element.get('frame')!r}"
        raise UserError(f"{location}: {where}: <{element.tag}>: {type(error).__name__}: {error}") from error


def _read_mask(element: Element) -> CroppedMask:
    left, top, width, height = (int(float(element.attrib[name])) for name in ("left", "top", "width", "height"))
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f"a mask of {width}×{height} pixels")
    runs: npt.NDArray[np.int64] = np.array([int(run) for run in element.attrib["rle"].split(",")], dtype=np.int64)
    if (runs < 0).any() or runs.sum() != width * height:
        raise ValueError(f"its runs cover {runs.sum()} pixels, expected {width}×{height}")
    return CroppedMask(left, top, width, height, runs.astype(np.int32))
