"""A pool of tables alone, for what is decided before any video is opened, and a run directory on it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from hybridal_ray.config import FREE_FIELDS, Config, parse_config
from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool, save_pool
from hybridal_ray.run_store import RunStore


def write_small_pool(root: Path) -> Pool:
    """Four videos of 10 frames to train on (one missing, one unreadable), one to test on; a box in 3 frames."""
    videos = [
        {
            "video_id": f"v{index}",
            "uri": f"v{index}.mp4",
            "split": "test" if index == 4 else "train",
            "group": f"v{index}",
            "num_frames": 10,
            "fps": 25.0,
            "width": 64,
            "height": 48,
            "status": {1: "missing", 2: "unreadable"}.get(index, "ok"),
            "reason": "gone" if index in (1, 2) else None,
        }
        for index in range(5)
    ]
    box = {"tube_id": "a", "class_id": 0, "x1": 4.0, "y1": 4.0, "x2": 20.0, "y2": 20.0, "mask": None}
    tubes = [{"video_id": "v4", "frame": frame, **box} for frame in range(3)]
    tables = pa.Table.from_pylist(videos, VIDEOS_SCHEMA), pa.Table.from_pylist(tubes, TUBES_SCHEMA)
    pool = Pool(str(root), "small", ("wave", "kick"), *tables)
    save_pool(pool)
    return pool


def small_settings(root: Path) -> dict[str, Any]:
    """A configuration of two rounds without Ray and without tracking, on the pool at ``root/pool``."""
    return {
        "root": str(root),
        "run": "runs/small",
        "rounds": 2,
        "pool": {"path": "pool"},
        "training": {"workers": 0},
        "scoring": {"actors": 0},
        "tracking": {"uri": "none"},
    }


def write_settings(root: Path) -> Path:
    """`small_settings` as a file."""
    file = root / "small.yaml"
    file.write_text(yaml.safe_dump(small_settings(root)))
    return file


def begin_run(root: Path, **changes: Any) -> tuple[Config, RunStore]:
    """The pool, and the directory of a run in which nothing but the first selection is done."""
    pool = write_small_pool(root / "pool")
    config = parse_config(small_settings(root) | changes, "test")
    store = RunStore(config.locate(config.run))
    with store:
        store.open({**config.model_dump(mode="json"), "pool_identity": pool.identity()}, FREE_FIELDS)
    store.stage(None, "select").finish({"seconds": 0.1, "frames": 4})
    return config, store
