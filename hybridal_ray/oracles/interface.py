"""Who answers when frames are picked."""

from typing import Protocol

import pyarrow as pa


class Oracle(Protocol):
    """Labels frames: a person behind an annotation tool, a file, or the ground truth."""

    def label(self, selection: pa.Table, round_index: int) -> pa.Table:
        """Labels what was selected.

        Args:
            selection: Table of `SELECTION_SCHEMA`.
            round_index: The round from whose training on the labels are used.

        Returns:
            Table of `LABELS_SCHEMA`, in the order of purchase. A frame on which nobody acts is there with no
            boxes.
        """
        ...
