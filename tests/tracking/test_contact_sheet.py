"""Oracle: hand-written selections; the colours of the decoded videos found in the picture."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from synthetic_run import FRAMES

from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking.contact_sheet import choose_picks, contact_sheet
from hybridal_ray.tracking.run_reader import read_selection
from hybridal_ray.tracking.style import to_png


def selection_of(picks: list[tuple[str, int, int | None]]) -> pa.Table:
    """Rows (video, frame, cluster) in the order of their rank."""
    rows = [
        {"video_id": video, "frame": frame, "rank": rank, "cluster": cluster}
        for rank, (video, frame, cluster) in enumerate(picks)
    ]
    return pa.Table.from_pylist(rows, SELECTION_SCHEMA)


def shown(table: pa.Table, **limits: int) -> list[tuple[str, list[int]]]:
    return [(video.video_id, [row["frame"] for row in video.picks]) for video in choose_picks(table, **limits)]


def test_videos_stand_by_cluster_then_rank_and_frames_by_time() -> None:
    table = selection_of([("a", 9, 1), ("a", 2, 1), ("b", 5, 0), ("c", 1, 1)])
    assert shown(table) == [("b", [5]), ("a", [2, 9]), ("c", [1])]


def test_a_large_cluster_leaves_room_for_a_small_one() -> None:
    large = [(f"large-{place}", 0, 0) for place in range(10)]
    table = selection_of([*large, ("small", 0, 1)])
    assert shown(table, max_frames=3) == [("large-0", [0]), ("large-1", [0]), ("small", [0])]


def test_of_a_long_video_the_best_ranks_are_shown() -> None:
    table = selection_of([("a", frame, None) for frame in (30, 10, 20, 0)])
    assert shown(table, max_frames_a_video=3) == [("a", [10, 20, 30])]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30), st.none() | st.integers(0, 3)), max_size=60),
    st.integers(1, 20),
)
def test_never_more_than_there_is_room_for(picks: list[tuple[str, int, int | None]], room: int) -> None:
    videos = choose_picks(selection_of(picks), max_frames=room)
    assert sum(len(video.picks) for video in videos) <= room
    assert len({video.video_id for video in videos}) == len(videos)


def picture_of(table: pa.Table, pool: Pool) -> np.ndarray:
    videos = {video.video_id: video for video in pool.usable_videos("train")}
    png = to_png(lambda: contact_sheet(table, videos, cluster_sizes={0: 4, 1: 4}))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def share_of(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((np.abs(picture - np.array(colour)).max(axis=-1) < 40).mean())


def test_the_frames_themselves_are_on_the_sheet(finished_run: Path, squares: Pool) -> None:
    table = read_selection(str(finished_run), 0)
    assert table is not None
    picture = picture_of(table, squares)
    # Round 0 picks 2 frames each of two red (even) and two blue (odd) videos; the square fills 1/8 of a tile.
    red, blue = share_of(picture, (220, 40, 40)), share_of(picture, (40, 80, 220))
    assert red > 0.005
    assert blue == pytest.approx(red, rel=0.5)


def test_without_clusters_and_scores(squares: Pool) -> None:
    picture = picture_of(selection_of([("video-02", 3, None), ("video-03", 4, None)]), squares)
    assert share_of(picture, (220, 40, 40)) > 0.005


def test_what_does_not_decode_leaves_a_grey_box(squares: Pool) -> None:
    picture = picture_of(selection_of([("video-02", FRAMES + 100, 0), ("unknown", 0, 0)]), squares)
    assert share_of(picture, (220, 40, 40)) == 0
    lost = dataclasses.replace(squares, root="/nowhere")
    assert share_of(picture_of(selection_of([("video-02", 0, 0)]), lost), (220, 40, 40)) == 0
