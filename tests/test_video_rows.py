"""Oracle: `Pool.usable_videos`, which makes all objects at once."""

import pickle
from pathlib import Path

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
    assert list(pickle.loads(pickle.dumps(rows))) == expected
    with pytest.raises(IndexError):
        rows[len(expected)]
