"""Oracle: `Pool.usable_videos`, which makes all objects at once."""

import pickle
from pathlib import Path

import pyarrow as pa
import pytest
from small_pool import write_small_pool

from hybridal_ray.video_rows import VideoRows


def test_rows_are_the_usable_videos(tmp_path: Path) -> None:
    pool = write_small_pool(tmp_path)
    expected = pool.usable_videos("train")
    rows = VideoRows.usable(pool.videos, "train", pool.root)
    assert list(rows) == expected
    assert [rows[index] for index in range(len(rows))] == expected
    assert rows[-1] == expected[-1]
    assert rows[1:] == expected[1:]
    assert rows.index(expected[1]) == 1
    assert list(rows.keys()) == [(video.video_id, video.num_frames) for video in expected]
    assert list(pickle.loads(pickle.dumps(rows))) == expected
    with pytest.raises(IndexError):
        rows[len(expected)]


def test_rows_of_a_table_in_many_pieces_are_found(tmp_path: Path) -> None:
    pool = write_small_pool(tmp_path)
    expected = pool.usable_videos("train")
    shuffled = pool.videos.take(list(reversed(range(len(pool.videos)))))
    pieces = pa.concat_tables([shuffled.slice(start, 1) for start in range(len(shuffled))])
    assert list(VideoRows.usable(pieces, "train", pool.root)) == expected


def test_no_video_has_rows_of_none(tmp_path: Path) -> None:
    pool = write_small_pool(tmp_path)
    rows = VideoRows.usable(pool.videos.slice(0, 0), "train", pool.root)
    assert (len(rows), list(rows), list(rows.keys())) == (0, [], [])
