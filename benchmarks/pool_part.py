"""A part of a pool as a pool of its own, with the videos left where they are."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import VIDEOS_SCHEMA, Pool, save_pool


def save_part(pool: Pool, splits: Mapping[str, str], out: Path, name: str) -> Pool:
    """Writes a pool of some videos of another one.

    Args:
        pool: The other one.
        splits: The split of each video that stays, by its id.
        out: Directory of the new pool; made where it is not there.
        name: Of the new pool.

    Returns:
        The new pool. Its videos are named by absolute paths or URIs, so that they are found from anywhere.
    """
    root = pool.root if storage.is_uri(pool.root) else os.path.abspath(pool.root)
    rows = [
        row | {"uri": storage.resolve_uri(row["uri"], root), "split": splits[row["video_id"]]}
        for row in pool.videos.to_pylist()
        if row["video_id"] in splits
    ]
    looked_at = pool.looked_at
    if looked_at is not None:
        looked_at = looked_at.filter(pc.is_in(looked_at["video_id"], pa.array(list(splits), pa.string())))
    part = replace(
        pool,
        root=str(out),
        name=name,
        videos=pa.Table.from_pylist(rows, schema=VIDEOS_SCHEMA),
        tubes=pool.tubes_of(list(splits)),
        looked_at=looked_at,
    )
    out.mkdir(parents=True, exist_ok=True)
    save_pool(part)
    return part
