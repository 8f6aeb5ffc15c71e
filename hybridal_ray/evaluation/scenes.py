"""Which scene cluster a test video belongs to: the centre of deep clustering that its latent is nearest to.

Videos of one cluster look alike to the detector, so a figure by cluster tells in which scenes it fails.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hybridal_ray.pool import storage, table_files

Floats = npt.NDArray[np.float32]
SCENES_SCHEMA = pa.schema(
    [pa.field("video_id", pa.string(), nullable=False), pa.field("cluster", pa.int32(), nullable=False)]
)


def nearest_centre(latents: Sequence[Floats], centres: Floats) -> int:
    """The cluster of a video.

    Args:
        latents: (N, D) each, of its clips in batches, at least one.
        centres: (K, D).

    Returns:
        The centre nearest to the mean over the clips; ties go to the lower id.
    """
    latent = np.concatenate(latents).mean(axis=0, dtype=np.float64)
    return int(np.square(centres - latent).sum(axis=1).argmin())


def write_scenes(directory: str, clusters: Mapping[str, int]) -> None:
    """Keeps the clusters of some videos in a file of their own; the same videos replace it.

    Args:
        directory: Path or URI of the pass.
        clusters: By video id, at least one.
    """
    name = hashlib.blake2b("\n".join(sorted(clusters)).encode(), digest_size=8).hexdigest()
    rows = [{"video_id": video_id, "cluster": cluster} for video_id, cluster in sorted(clusters.items())]
    table_files.write_table(
        storage.join(directory, f"{name}.parquet"), pa.Table.from_pylist(rows, schema=SCENES_SCHEMA)
    )


def read_scenes(directory: str) -> dict[str, int]:
    """The cluster of each video that `write_scenes` kept; empty where the detector was trained without centres."""
    files = storage.list_files(directory, suffix=".parquet")
    rows = [row for file in files for row in table_files.read_table(file, SCENES_SCHEMA).to_pylist()]
    return {row["video_id"]: row["cluster"] for row in rows}
