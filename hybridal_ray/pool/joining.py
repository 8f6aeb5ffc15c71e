"""One pool of several: of labelled videos to test on and bare ones to buy from, or of two data sets."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.formats.replacing import refuse_to_replace
from hybridal_ray.pool.table_checks import check_videos
from hybridal_ray.pool.tables import LABELLED_FRAMES_SCHEMA, VIDEOS_SCHEMA, Pool, save_pool


def join_pools(pools: Sequence[Pool], root: str, name: str) -> Pool:
    """Writes a pool of all videos and labels of several; videos stay where they are, in the splits that they have.

    Args:
        pools: Two or more. Classes are the same where they have the same name. Of one that does not tell which frames
            were looked at, beside one that does, those with a box are told: nobody is known to have seen the others.
        root: Directory or URI of the new pool; its video URIs are absolute.
        name: Of the new pool.

    Raises:
        UserError: There is but one pool; two have a video of the same id, or one source in several splits; or what is
            at `root` may not be replaced (`refuse_to_replace`).
    """
    if len(pools) < 2:
        raise UserError(f"found {len(pools)} pool to join, expected two or more")
    _refuse_shared_ids(pools)
    classes = tuple(dict.fromkeys(name for pool in pools for name in pool.classes))
    videos = pa.concat_tables([_with_absolute_uris(pool) for pool in pools])
    check_videos(videos, root)
    joined = Pool(
        root=root,
        name=name,
        classes=classes,
        videos=videos,
        tubes=pa.concat_tables([_with_class_ids(pool, classes) for pool in pools]),
        looked_at=None
        if all(pool.looked_at is None for pool in pools)
        else pa.concat_tables([_frames_looked_at(pool) for pool in pools]),
    )
    ids = videos["video_id"].to_pylist()
    refuse_to_replace(root, name, classes, ids, labelled=joined.tubes.num_rows > 0)
    save_pool(joined)
    return joined


def _refuse_shared_ids(pools: Sequence[Pool]) -> None:
    seen: dict[str, str] = {}
    for pool in pools:
        for video_id in pool.videos["video_id"].to_pylist():
            if video_id in seen:
                raise UserError(
                    f"{pool.root}: holds a video {video_id!r}, as does {seen[video_id]}; expected each id in one pool"
                )
            seen[video_id] = pool.root


def _with_absolute_uris(pool: Pool) -> pa.Table:
    uris = [storage.resolve_uri(uri, pool.root) for uri in pool.videos["uri"].to_pylist()]
    place = VIDEOS_SCHEMA.get_field_index("uri")
    return pool.videos.cast(VIDEOS_SCHEMA).set_column(place, VIDEOS_SCHEMA.field(place), pa.array(uris, pa.string()))


def _with_class_ids(pool: Pool, classes: Sequence[str]) -> pa.Table:
    new_ids = np.array([classes.index(name) for name in pool.classes], dtype=np.int32)
    place = pool.tubes.schema.get_field_index("class_id")
    ids = new_ids[pool.tubes["class_id"].to_numpy()] if len(pool.tubes) else np.zeros(0, np.int32)
    return pool.tubes.set_column(place, pool.tubes.schema.field(place), pa.array(ids))


def _frames_looked_at(pool: Pool) -> pa.Table:
    """Those of `Pool.looked_at`; those with a box where it has none."""
    if pool.looked_at is not None:
        return pool.looked_at.cast(LABELLED_FRAMES_SCHEMA)
    with_box = pool.tubes.select(["video_id", "frame"]).group_by(["video_id", "frame"], use_threads=False).aggregate([])
    return with_box.cast(LABELLED_FRAMES_SCHEMA)
