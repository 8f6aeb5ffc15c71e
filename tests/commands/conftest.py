"""A pool of videos of bright squares, and a detector that sees those exactly."""

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool, save_pool

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from bright_detector import CLASSES, moving_squares, write_video

LENGTHS = {"clips/a": 10, "clips/b": 14}


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Two videos of each of two splits, and beside them the checkpoint of a detector that finds all."""
    folder = tmp_path_factory.mktemp("pool")
    videos, tubes = [], []
    for split in ("val", "test"):
        for name, length in LENGTHS.items():
            video_id = f"{split}/{name}"
            frames, rows = moving_squares(length)
            file = folder / f"{video_id.replace('/', '-')}.mp4"
            write_video(file, frames)
            tubes += [row | {"video_id": video_id} for row in rows]
            facts = {"uri": str(file), "split": split, "group": video_id, "num_frames": length, "fps": 25.0}
            size = {"width": 128, "height": 96, "status": "ok", "reason": None}
            videos.append({"video_id": video_id, **facts, **size})
    save_pool(
        Pool(
            str(folder),
            "squares",
            CLASSES,
            pa.Table.from_pylist(videos, VIDEOS_SCHEMA),
            pa.Table.from_pylist(tubes, TUBES_SCHEMA),
        )
    )
    save_detector(str(folder / "checkpoint"), DetectorSpec("bright_detector:BrightDetector", 2, 64, 4, 2), {}, None)
    return folder
