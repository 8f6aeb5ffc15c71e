"""The ledger: every labelled frame of a run, with when, by whom, at what cost, and the boxes on it.

Append-only Parquet, one file a purchase or a part of one. A labelled frame without boxes is a label too: it says
that nobody acts there. A later row for the same frame supersedes an earlier one, save where `standing` says that the
row never counts. A frame of which somebody said that it cannot be told is answered, but holds no label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.pool import storage, table_files

BOX_TYPE = pa.struct(
    [
        pa.field("tube_id", pa.string(), nullable=False),
        pa.field("class_id", pa.int32(), nullable=False),
        pa.field("x1", pa.float32(), nullable=False),
        pa.field("y1", pa.float32(), nullable=False),
        pa.field("x2", pa.float32(), nullable=False),
        pa.field("y2", pa.float32(), nullable=False),
        pa.field("mask", pa.string(), nullable=True),
    ]
)

LABELS_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("round", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=True),
        pa.field("boxes", pa.list_(BOX_TYPE), nullable=False),
        pa.field("answer", pa.string(), nullable=True),  # CANNOT_TELL; null: the boxes are the answer
        pa.field("annotator", pa.string(), nullable=True),
        pa.field("answered_at", pa.timestamp("ms", tz="UTC"), nullable=True),
        pa.field("preannotation", pa.string(), nullable=True),  # of PREANNOTATIONS; null: there was none
        pa.field("request", pa.string(), nullable=True),  # which request of people asked for the frame
        pa.field("standing", pa.string(), nullable=True),  # of STANDINGS; null: counts until a later row does
    ]
)

CANNOT_TELL = "cannot tell"
PREANNOTATIONS = ("accepted", "moved", "discarded")
# Rows that are kept and never trained on: of a second annotator of the same frame, or older than a row before them.
SECOND_OPINION, OUTDATED = "second opinion", "outdated"
STANDINGS = (SECOND_OPINION, OUTDATED)
OWN_LABELS = "pool"  # source of labels that the pool brought along: nobody's work in this run


@dataclass(frozen=True)
class LabelledBox:
    """One actor on one labelled frame.

    Attributes:
        tube_id: Which actor of the video; the same on all its frames.
        class_id: What it does.
        box: (x1, y1, x2, y2) in pixels of the decoded frame, x2 and y2 exclusive.
        mask: COCO RLE counts over the whole frame, or None where only the box is known.
    """

    tube_id: str
    class_id: int
    box: tuple[float, float, float, float]
    mask: str | None


# The labels of one video: frame index to the actors on it, possibly none.
VideoLabels = Mapping[int, tuple[LabelledBox, ...]]


def append(root: str, name: str, labels: pa.Table) -> None:
    """Adds a purchase to the ledger in ``root/labels/<name>.parquet``; writing the same name again replaces it.

    Args:
        root: The run directory.
        name: Name of the purchase, such as ``round-003``; files are read in the order of their names.
        labels: Table of `LABELS_SCHEMA`.
    """
    table_files.write_table(storage.join(root, "labels", f"{name}.parquet"), labels.cast(LABELS_SCHEMA))


def parts(root: str) -> list[str]:
    """The names of the files of a ledger, in the order in which they are read."""
    files = storage.list_files(storage.join(root, "labels"), suffix=".parquet")
    return [file.rpartition("/")[2] for file in files]


def read(root: str, only: Sequence[str] | None = None) -> pa.Table:
    """The ledger of a run, in the order of purchase (`LABELS_SCHEMA`; empty when nothing is labelled).

    Args:
        root: The run directory.
        only: Of its `parts`, those that are read; None reads all.

    Raises:
        UserError: A file of the ledger is damaged; the message names it and the column.
    """
    files = [storage.join(root, "labels", name) for name in (parts(root) if only is None else only)]
    return pa.concat_tables(
        [LABELS_SCHEMA.empty_table(), *(table_files.read_table(file, LABELS_SCHEMA) for file in files)]
    )


def labels_of_tubes(tubes: pa.Table, empty_frames: pa.Table | None = None) -> pa.Table:
    """Labels as given with a pool: each frame on which a tube has a box, with all its boxes.

    Args:
        tubes: Table of `TUBES_SCHEMA`. Of itself, a frame without a box is not known to be empty, and is left out.
        empty_frames: Columns ``video_id`` and ``frame``: those that are known to be, as `Pool.empty_frames_of` tells.

    Returns:
        Table of `LABELS_SCHEMA`, by video and frame.
    """
    frames: dict[tuple[str, int], list[dict[str, object]]] = {}
    for row in tubes.to_pylist():
        box = {field.name: row[field.name] for field in BOX_TYPE}
        frames.setdefault((row["video_id"], row["frame"]), []).append(box)
    for row in [] if empty_frames is None else empty_frames.to_pylist():
        frames.setdefault((row["video_id"], row["frame"]), [])
    rows = [
        {"video_id": video_id, "frame": frame, "round": 0, "source": OWN_LABELS, "seconds": None, "boxes": boxes}
        for (video_id, frame), boxes in sorted(frames.items())
    ]
    return pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)


def standing_rows(labels: pa.Table) -> pa.Table:
    """The rows that hold what is known: of each answered frame the last that counts, in the order of the ledger."""
    counts = labels.filter(pc.is_null(labels["standing"]))
    facts = counts.select(["video_id", "frame"]).append_column("row", pa.array(np.arange(len(counts))))
    last = facts.group_by(["video_id", "frame"]).aggregate([("row", "max")])["row_max"]
    return counts.take(np.sort(last.to_numpy()))


def labelled_rows(labels: pa.Table) -> pa.Table:
    """The rows of `standing_rows` that are labels: those that say that a frame cannot be told are none."""
    standing = standing_rows(labels)
    return standing.filter(pc.is_null(standing["answer"]))


def labels_by_video(labels: pa.Table) -> dict[str, VideoLabels]:
    """The ledger as training reads it: by video, then frame. The last row of a frame counts.

    A frame whose last row says that it cannot be told is not there.
    """
    by_video: dict[str, dict[int, tuple[LabelledBox, ...]]] = {}
    for row in labelled_rows(labels).to_pylist():
        actors = tuple(
            LabelledBox(box["tube_id"], box["class_id"], (box["x1"], box["y1"], box["x2"], box["y2"]), box["mask"])
            for box in row["boxes"]
        )
        by_video.setdefault(row["video_id"], {})[row["frame"]] = actors
    return dict(by_video)


@dataclass(frozen=True)
class LabelCounts:
    """How much is labelled.

    Attributes:
        videos: With at least one labelled frame.
        frames: In all of them.
    """

    videos: int
    frames: int


def label_counts(labels: pa.Table) -> LabelCounts:
    """How much `labels_by_video` finds."""
    by_video = labels_by_video(labels)
    return LabelCounts(len(by_video), sum(map(len, by_video.values())))


def answered_frames(labels: pa.Table) -> dict[str, tuple[int, ...]]:
    """Which frames are answered, by video, ascending.

    Of a whole ledger, those that cannot be told are among them, since nobody is to be asked twice; of `labelled_rows`
    they are the labelled ones. Scoring and selection may know no more of labels.
    """
    frames: dict[str, set[int]] = {}
    for video_id, frame in zip(labels["video_id"].to_pylist(), labels["frame"].to_pylist(), strict=True):
        frames.setdefault(video_id, set()).add(frame)
    return {video_id: tuple(sorted(taken)) for video_id, taken in frames.items()}
