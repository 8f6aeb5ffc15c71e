"""Frames of the evaluated split with what the detector said and what is true."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from hybridal_ray.evaluation.drawing import best_class_of_each_tube, draw_detections
from hybridal_ray.pool.decoding import UnreadableVideo, read_frames
from hybridal_ray.pool.tables import Pool, Video
from hybridal_ray.tracking.sheet import Picture, Sheet, fit_size, shorten, tile_height
from hybridal_ray.tracking.style import FAINT

T = TypeVar("T")

FRAMES = 12
MIN_SCORE = 0.1  # boxes below it would hide the picture, and hardly count in an average precision
MAX_BOXES = 5

_COLUMNS, _TILE_WIDTH, _GAP, _MARGIN = 4, 320, 12, 24
_TITLE, _CAPTION = 62, 30
_DRAWN_WIDTH = 360  # pixels of the picture that is drawn on: the letters on it are as large as those beside it


@dataclass(frozen=True)
class ShownFrame:
    """A frame that shows a class.

    Attributes:
        video: Where it is.
        frame: Middle frame of an actor's tube.
        class_id: What that actor does.
    """

    video: Video
    frame: int
    class_id: int


def choose_frames(pool: Pool, split: str, count: int = FRAMES) -> list[ShownFrame]:
    """Frames of as many classes as there is room for, an equal share each, spread over the videos of the class.

    Args:
        pool: The pool with its tubes.
        split: Of their videos.
        count: Frames wanted.

    Returns:
        At most `count` frames of different videos, ordered by class; the same for the same pool.
    """
    videos = {video.video_id: video for video in pool.usable_videos(split)}
    tubes = pool.tubes_of(list(videos)).select(["video_id", "tube_id", "class_id", "frame"])
    spans = tubes.group_by(["class_id", "video_id", "tube_id"]).aggregate([("frame", "list")])
    by_class: dict[int, list[ShownFrame]] = {}
    for row in sorted(spans.to_pylist(), key=lambda row: (row["class_id"], row["video_id"], row["tube_id"])):
        frames = sorted(row["frame_list"])
        middle = ShownFrame(videos[row["video_id"]], frames[len(frames) // 2], row["class_id"])
        by_class.setdefault(row["class_id"], []).append(middle)
    classes = _spread(sorted(by_class), count)
    chosen: dict[str, ShownFrame] = {}
    for place, class_id in enumerate(classes):
        share = count // len(classes) + (place < count % len(classes))
        fresh = [candidate for candidate in by_class[class_id] if candidate.video.video_id not in chosen]
        chosen.update({candidate.video.video_id: candidate for candidate in _spread(fresh, share)})
    return list(chosen.values())


def detections_sheet(
    pool: Pool,
    predictions: pa.Table,
    *,
    split: str,
    round_index: int = 0,
    count: int = FRAMES,
    min_score: float = MIN_SCORE,
) -> Figure:
    """Frames with predicted and true boxes.

    Args:
        pool: The pool with its tubes.
        predictions: Table of `PREDICTIONS_SCHEMA`.
        split: Of the videos, the one that was evaluated.
        round_index: For the title.
        count: Frames on the sheet.
        min_score: Boxes that score less are left out, in [0, 1].
    """
    chosen = choose_frames(pool, split, count)
    rows = -(-len(chosen) // _COLUMNS)
    tall = tile_height(((at.video.width, at.video.height) for at in chosen), _TILE_WIDTH)
    width = 2 * _MARGIN + _COLUMNS * (_TILE_WIDTH + _GAP) - _GAP
    sheet = Sheet(width, _TITLE + rows * (tall + _CAPTION + _GAP) + _MARGIN / 2)
    sheet.text(_MARGIN, 24, f"Round {round_index}: the detector on {split} videos", size=19, bold=True)
    sheet.text(
        _MARGIN, 47, "solid orange: predicted, with class and score  ·  dashed blue: true", size=12.5, colour=FAINT
    )
    for place, shown in enumerate(chosen):
        x = _MARGIN + (place % _COLUMNS) * (_TILE_WIDTH + _GAP)
        y = _TITLE + (place // _COLUMNS) * (tall + _CAPTION + _GAP)
        sheet.picture(x, y, _TILE_WIDTH, tall, _drawn(pool, predictions, shown, min_score))
        caption = f"{shorten(shown.video.video_id, 30)}  ·  frame {shown.frame}"
        sheet.text(x, y + tall + 13, caption, size=12.5)
    return sheet.figure


def _spread(candidates: Sequence[T], count: int) -> list[T]:
    """At most `count` of the candidates, evenly over their order, the first among them."""
    taken = min(count, len(candidates))
    return [candidates[turn * len(candidates) // taken] for turn in range(taken)]


def _drawn(pool: Pool, predictions: pa.Table, at: ShownFrame, min_score: float) -> Picture | None:
    here = (pc.field("video_id") == at.video.video_id) & (pc.field("frame") == at.frame)
    predicted = predictions.filter(here & (pc.field("score") >= min_score)).to_pylist()
    best = best_class_of_each_tube(predicted)[-MAX_BOXES:]
    height, width = fit_size(at.video.width, at.video.height, _DRAWN_WIDTH, _DRAWN_WIDTH)
    try:
        frame = read_frames(at.video.uri, [at.frame], (height, width))[0]
    except UnreadableVideo:
        return None
    across, down = width / at.video.width, height / at.video.height
    truth = pool.tubes.filter(here).to_pylist()
    return draw_detections(frame, _resized(best, across, down), _resized(truth, across, down), pool.classes)


def _resized(rows: Iterable[Mapping[str, Any]], across: float, down: float) -> list[dict[str, Any]]:
    factors = {"x1": across, "x2": across, "y1": down, "y2": down}
    return [{**row, **{corner: row[corner] * factor for corner, factor in factors.items()}} for row in rows]
