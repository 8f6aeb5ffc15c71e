"""The contact sheet: the frames that a round picked, each with the reason why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from matplotlib.figure import Figure

from hybridal_ray.pool.decoding import UnreadableVideo, read_frames
from hybridal_ray.pool.tables import Video
from hybridal_ray.tracking.sheet import Picture, Sheet, fit_size, shorten, tile_height
from hybridal_ray.tracking.style import FAINT, cluster_colour

MAX_FRAMES = 48
COLUMNS = 8

_TILE_WIDTH, _GAP, _VIDEO_GAP, _MARGIN = 168, 4, 14, 24
_TITLE, _CLUSTER_HEADING, _VIDEO_HEADING, _CAPTION = 62, 38, 22, 40
_MIN_WIDTH = 660  # of the explanation beneath the title
_DECODED = 1.5  # pixels decoded for each pixel of a tile, as figures are saved at 150 dots to the inch


@dataclass(frozen=True)
class PickedVideo:
    """A video of the selection, with the frames of it that the sheet shows.

    Attributes:
        video_id: The video.
        cluster: Its cluster, or None.
        picks: Rows of the selection (`SELECTION_SCHEMA`), by frame.
    """

    video_id: str
    cluster: int | None
    picks: tuple[Mapping[str, Any], ...]


def choose_picks(
    selection: pa.Table, max_frames: int = MAX_FRAMES, max_frames_a_video: int = COLUMNS
) -> list[PickedVideo]:
    """What of a selection is shown: clusters take turns, so that a large one does not fill the sheet.

    Args:
        selection: Table of `SELECTION_SCHEMA`.
        max_frames: Frames on the sheet.
        max_frames_a_video: Frames of one video; those of the best rank are taken.

    Returns:
        Videos by cluster (none first), then by their best rank; every cluster's best video comes before any cluster's
        second when room is short.
    """
    by_video: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(selection.to_pylist(), key=lambda row: row["rank"]):
        by_video.setdefault(row["video_id"], []).append(row)
    turns: dict[int | None, int] = {}
    queue: list[tuple[int, int, PickedVideo]] = []
    for order, (video_id, rows) in enumerate(by_video.items()):
        cluster = rows[0]["cluster"]
        picks = sorted(rows[:max_frames_a_video], key=lambda row: row["frame"])
        queue.append((turns.setdefault(cluster, 0), order, PickedVideo(video_id, cluster, tuple(picks))))
        turns[cluster] += 1
    shown: list[tuple[int, int, PickedVideo]] = []
    room = max_frames
    for entry in sorted(queue, key=lambda entry: entry[:2]):
        if len(entry[2].picks) > room:
            break
        room -= len(entry[2].picks)
        shown.append(entry)
    shown.sort(key=lambda entry: (-1 if entry[2].cluster is None else entry[2].cluster, entry[1]))
    return [video for _, _, video in shown]


def contact_sheet(
    selection: pa.Table,
    videos: Mapping[str, Video],
    *,
    cluster_sizes: Mapping[int, int] | None = None,
    round_index: int = 0,
    max_frames: int = MAX_FRAMES,
) -> Figure:
    """The picked frames, grouped by cluster, the frames of a video side by side.

    Under each frame stand its number, its rank among the picks, its uncertainty U, and what proximity to frames that
    were taken before subtracted from it; beside the video's name, its score V.

    Args:
        selection: Table of `SELECTION_SCHEMA`.
        videos: The videos of the pool by id.
        cluster_sizes: Videos of the pool in each cluster; None leaves them out.
        round_index: For the title.
        max_frames: Frames on the sheet.
    """
    shown = choose_picks(selection, max_frames)
    lines = _flow(shown)
    headings = len({video.cluster for video in shown} - {None})
    known = [videos[video.video_id] for video in shown if video.video_id in videos]
    tall = tile_height(((video.width, video.height) for video in known), _TILE_WIDTH)
    row_height = _VIDEO_HEADING + tall + _CAPTION
    width = 2 * _MARGIN + max(_MIN_WIDTH, *(sum(map(_width, line)) + (len(line) - 1) * _VIDEO_GAP for line in lines))
    sheet = Sheet(width, _TITLE + headings * _CLUSTER_HEADING + len(lines) * row_height + _MARGIN / 2)
    count = sum(len(video.picks) for video in shown)
    title = f"Round {round_index}: the frames to label next"
    sheet.text(_MARGIN, 24, title, size=19, bold=True)
    note = f"{count} of {len(selection)} frames shown  ·  U: uncertainty,  −: proximity penalty,  V: score of the video"
    sheet.text(_MARGIN, 47, note, size=12.5, colour=FAINT)
    y, cluster = float(_TITLE), None
    for line in lines:
        if line[0].cluster != cluster:
            cluster = line[0].cluster
            _draw_cluster_heading(sheet, y, width, line[0], cluster_sizes)
            y += _CLUSTER_HEADING
        x = float(_MARGIN)
        for video in line:
            _draw_video(sheet, x, y, tall, video, videos.get(video.video_id))
            x += _width(video) + _VIDEO_GAP
        y += row_height
    return sheet.figure


def _flow(shown: Sequence[PickedVideo]) -> list[list[PickedVideo]]:
    """Breaks the videos into lines of at most `COLUMNS` frames; a cluster begins a new line."""
    lines: list[list[PickedVideo]] = []
    used = 0
    for video in shown:
        if not lines or lines[-1][0].cluster != video.cluster or used + len(video.picks) > COLUMNS:
            lines.append([])
            used = 0
        lines[-1].append(video)
        used += len(video.picks)
    return lines


def _width(video: PickedVideo) -> int:
    return len(video.picks) * (_TILE_WIDTH + _GAP) - _GAP


def _draw_cluster_heading(
    sheet: Sheet, y: float, width: float, first: PickedVideo, sizes: Mapping[int, int] | None
) -> None:
    cluster = first.cluster
    if cluster is None:
        return
    facts = [f"quota {first.picks[0]['quota']} videos"] if first.picks[0]["quota"] is not None else []
    if sizes is not None and cluster in sizes:
        facts.append(f"{sizes[cluster]:,} videos of the pool")
    sheet.bar(_MARGIN, y + 6, width - 2 * _MARGIN, 2, cluster_colour(cluster))
    sheet.text(_MARGIN, y + 22, f"Cluster {cluster}", size=14.5, bold=True, colour=cluster_colour(cluster))
    sheet.text(_MARGIN + 96, y + 22, "  ·  ".join(facts), size=12.5, colour=FAINT)


def _draw_video(sheet: Sheet, x: float, y: float, tall: int, video: PickedVideo, known: Video | None) -> None:
    score = video.picks[0]["video_score"]
    suffix = "" if score is None else f"   V {score:.3f}"
    letters = 22 * len(video.picks) - len(suffix)
    sheet.text(x, y + _VIDEO_HEADING / 2, shorten(video.video_id, letters) + suffix, size=12, bold=True)
    pictures = _decode(known, [row["frame"] for row in video.picks], tall)
    for row, picture in zip(video.picks, pictures, strict=True):
        top = y + _VIDEO_HEADING
        sheet.picture(x, top, _TILE_WIDTH, tall, picture)
        sheet.text(x, top + tall + 11, f"frame {row['frame']}  ·  rank {row['rank']}", size=11.5)
        sheet.text(x, top + tall + 26, _reason(row), size=11.5, colour=FAINT)
        x += _TILE_WIDTH + _GAP


def _reason(row: Mapping[str, Any]) -> str:
    parts = []
    if row["uncertainty"] is not None:
        parts.append(f"U {row['uncertainty']:.3f}")
    if row["proximity_penalty"]:
        parts.append(f"− {row['proximity_penalty']:.3f}")
    return " ".join(parts)


def _decode(video: Video | None, frames: Sequence[int], tall: int) -> Sequence[Picture | None]:
    nothing = [None] * len(frames)
    if video is None:
        return nothing
    size = fit_size(video.width, video.height, int(_DECODED * _TILE_WIDTH), int(_DECODED * tall))
    try:
        return list(read_frames(video.uri, frames, size))
    except UnreadableVideo:
        return nothing
