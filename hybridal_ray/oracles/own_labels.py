"""Labels that a pool brings along, in the place of the first purchase."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.cost import labour_facts
from hybridal_ray.pool import ledger
from hybridal_ray.pool.tables import Pool, Video


def own_labels(pool: Pool, videos: Sequence[Video]) -> pa.Table:
    """The labels that a pool has of some videos (`LABELS_SCHEMA`).

    Raises:
        UserError: It has none.
    """
    ids = [video.video_id for video in videos]
    labels = ledger.labels_of_tubes(pool.tubes_of(ids), pool.empty_frames_of(ids))
    if len(labels) == 0:
        raise UserError(
            f"oracle.start_from_pool: no training video of {pool.root} has a label; expected some, or false"
        )
    return labels


def begin_with_own_labels(root: str, pool: Pool, videos: Sequence[Video]) -> dict[str, Any]:
    """Begins the ledger of the run at `root` with the labels that its pool has; tells what they hold."""
    labels = own_labels(pool, videos)
    ledger.append(root, "round-000", labels)
    return labour_facts(labels)
