"""A pool without what `hybridal check` found to be unusable."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.pool import storage
from hybridal_ray.pool.findings import Finding
from hybridal_ray.pool.inspection import Inspection
from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool, save_pool


def write_mended(pool: Pool, root: str, seen: Mapping[str, Inspection], findings: Sequence[Finding]) -> Pool:
    """Writes a pool of the videos that can be used, at another place than the one that was checked.

    Of a video with fewer frames than the pool tells, those that decode are kept. Boxes are cut off at the edges of
    the picture; those wholly outside, or on frames that are not there, are left out.

    Args:
        pool: Which was checked.
        root: Directory or URI of the new pool; its video URIs are absolute.
        seen: What the check found, by video.
        findings: Of the check.
    """
    gone = {finding.video_id for finding in findings if finding.unusable and finding.kind != "fewer frames"}
    rows = []
    for row in pool.videos.to_pylist():
        found = seen.get(row["video_id"])
        if row["video_id"] in gone or found is None:
            continue
        facts = found.facts
        known = row["num_frames"] if row["status"] == "ok" else facts.num_frames
        row |= {"status": "ok", "reason": None, "width": facts.width, "height": facts.height}
        row |= {"num_frames": min(known, facts.num_frames), "uri": storage.resolve_uri(row["uri"], pool.root)}
        rows.append(row)
    videos = pa.Table.from_pylist(rows, VIDEOS_SCHEMA)
    facts_table = videos.select(["video_id", "num_frames", "width", "height"])
    within = pc.field("frame") < pc.field("num_frames")
    looked_at = pool.looked_at
    if looked_at is not None:
        looked_at = looked_at.join(facts_table, "video_id", join_type="inner").filter(within)
        looked_at = looked_at.select(["video_id", "frame"]).sort_by([("video_id", "ascending"), ("frame", "ascending")])
    tubes = _cut_to_picture(pool.tubes.join(facts_table, "video_id", join_type="inner").filter(within))
    mended = Pool(root, pool.name, pool.classes, videos, tubes, looked_at)
    save_pool(mended)
    return mended


def _cut_to_picture(joined: pa.Table) -> pa.Table:
    wide, high = (joined[name].to_numpy().astype(np.float32) for name in ("width", "height"))
    edges = {}
    for name, size in (("x1", wide), ("y1", high), ("x2", wide), ("y2", high)):
        edges[name] = np.clip(joined[name].to_numpy(), 0, size)
    inside = (edges["x1"] < edges["x2"]) & (edges["y1"] < edges["y2"])
    columns = [pa.array(edges[name]) if name in edges else joined[name] for name in TUBES_SCHEMA.names]
    table = pa.table(columns, names=TUBES_SCHEMA.names).filter(pa.array(inside))
    order = [(name, "ascending") for name in ("video_id", "tube_id", "class_id", "frame")]
    return table.sort_by(order).cast(TUBES_SCHEMA)
