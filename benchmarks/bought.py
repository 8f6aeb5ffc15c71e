"""What runs have bought before, bought again, for `configs/compare_convergence.yaml`: has a detector converged on it?

``PYTHONPATH=benchmarks hybridal compare configs/compare_convergence.yaml``
"""

import os

import pyarrow as pa

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage, table_files
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.run_store import RunStore
from hybridal_ray.selection.request import Selection, SelectionRequest


class Bought:
    """A first strategy that picks what a finished run picked, so that one round trains on all of it.

    Args:
        run: Run directory or URI.
        purchases: How many of its purchases after the first batch count.

    Raises:
        UserError: `purchases` is negative, or the run has not made so many.
    """

    needs_scores = False
    needs_videos = False
    budget_in_frames = True

    def __init__(self, run: str, purchases: int) -> None:
        if purchases < 0:
            raise UserError(f"selection.start_options.purchases: found {purchases}, expected 0 or more")
        store = RunStore(run if storage.is_uri(run) else os.path.expanduser(run))
        self._files = [
            storage.join(store.round_directory(made), "selection.parquet") for made in (None, *range(purchases))
        ]
        for file in self._files:
            if not storage.exists(file):
                raise UserError(f"{file}: not there; selection.start_options: expected {purchases} purchases")

    def select(self, request: SelectionRequest) -> Selection:
        """The picks of all of them, in the order in which they were bought."""
        picks = pa.concat_tables([table_files.read_table(file, SELECTION_SCHEMA) for file in self._files])
        rank = SELECTION_SCHEMA.get_field_index("rank")
        return Selection(picks.set_column(rank, SELECTION_SCHEMA.field(rank), pa.array(range(len(picks)), pa.int32())))
