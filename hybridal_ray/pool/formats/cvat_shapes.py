"""Boxes and masks of a CVAT track."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from hybridal_ray.errors import UserError
from hybridal_ray.pool.containers import MAX_PIXELS
from hybridal_ray.pool.formats.rotated import around
from hybridal_ray.pool.masks import BoolMask


@dataclass(frozen=True)
class Shape:
    """An object on one frame.

    Attributes:
        frame: Absolute in the source video, from 0.
        outside: Whether it is gone from this frame on.
        box: (x1, y1, x2, y2) in pixels of the annotated picture.
        mask: Left, top and (H, W) pixels; None for a box.
        attributes: By name.
    """

    frame: int
    outside: bool
    box: tuple[float, float, float, float]
    mask: tuple[int, int, BoolMask] | None
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
            left, top, pixels = mask
            height, width = pixels.shape
            return Shape(frame, outside, (left, top, left + width, top + height), mask, attributes)
        edges = [float(element.attrib[edge]) for edge in ("xtl", "ytl", "xbr", "ybr")]
        if not np.isfinite(edges).all():
            raise ValueError(f"an edge of {edges} is not finite")
        x1, y1, x2, y2 = edges
        angle = float(element.get("rotation", "0"))
        box = around(x1, y1, x2 - x1, y2 - y1, angle, about_centre=True) if angle else (x1, y1, x2, y2)
        return Shape(frame, outside, box, None, attributes)
    except (KeyError, ValueError) as error:
        where = f"track {track.get('id', '')!r}, frame {element.get('frame')!r}"
        raise UserError(f"{location}: {where}: <{element.tag}>: {type(error).__name__}: {error}") from error


def _read_mask(element: Element) -> tuple[int, int, BoolMask]:
    """Row-major runs over the cropped mask, the first of background."""
    left, top, width, height = (int(float(element.attrib[name])) for name in ("left", "top", "width", "height"))
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f"a mask of {width}×{height} pixels")
    runs: npt.NDArray[np.int64] = np.array([int(run) for run in element.attrib["rle"].split(",")], dtype=np.int64)
    if (runs < 0).any() or runs.sum() != width * height:
        raise ValueError(f"its runs cover {runs.sum()} pixels, expected {width}×{height}")
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return left, top, pixels
