"""Whether a pool may take the place of one that is there: importing again completes a pool, and loses no other."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage, table_files
from hybridal_ray.pool.tables import VIDEOS_SCHEMA, load_tubes


def refuse_to_replace(
    root: str, name: str, classes: Sequence[str], video_ids: Iterable[str], *, labelled: bool
) -> None:
    """Stops before a pool of something else, or the only copy of somebody's labels, is overwritten.

    It also stops where nothing can be written, which is better known before hours of decoding than after them.

    Args:
        root: Directory or URI of the new pool.
        name: Of the new pool.
        classes: Of the new pool.
        video_ids: Of the new pool.
        labelled: Whether it has boxes, or may have some.

    Raises:
        UserError: A pool of another name or of other classes is there, or one with a video that the new one has not, or
            with boxes where the new one has none; or nothing can be written there.
    """
    location = storage.join(root, "pool.json")
    if not storage.exists(location):
        storage.refuse_unwritable(root)
        return
    content = storage.read_json(location)
    found = content if isinstance(content, Mapping) else {}
    for field, new in (("name", name), ("classes", list(classes))):
        if found.get(field) != new:
            raise UserError(
                f"{location}: a pool is there already, its {field} {found.get(field)!r}, that of the new one {new!r}; "
                "expected the same, or a place without a pool"
            )
    lost = sorted(_video_ids(root) - set(video_ids))
    if lost:
        raise UserError(
            f"{location}: a pool is there already, with {len(lost)} videos that the new one has not ({lost[0]!r}); "
            "expected all of them, or a place without a pool (`hybridal join` makes one pool of several)"
        )
    if not labelled and storage.exists(storage.join(root, "tubes.parquet")) and (boxes := _boxes(root)):
        raise UserError(
            f"{location}: a pool with {boxes} labelled boxes is there already, and the new one has none; expected a "
            "place without a pool"
        )


def _video_ids(root: str) -> set[str]:
    location = storage.join(root, "videos.parquet")
    schema = pa.schema([VIDEOS_SCHEMA.field("video_id")])
    return set(table_files.read_table(location, schema)["video_id"].to_pylist()) if storage.exists(location) else set()


def _boxes(root: str) -> int:
    return int(load_tubes(root, ["frame"]).num_rows)
