"""From the labels of each video to the tables of a pool: what cannot stand in a pool is left out, and counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.annotations import Tube, VideoLabels
from hybridal_ray.pool.tables import LABELLED_FRAMES_SCHEMA, TUBES_SCHEMA

BEYOND = "lie beyond the end of their video"
NEGATIVE = "lie before its beginning"
NO_EXTENT = "have no width or height"
REPEATED = "repeat a frame of their tube"


@dataclass
class LabelTables:
    """Gathers the labels of one video after the other, in columns.

    Attributes:
        left_out: How many boxes could not be taken, by why.
        of_several: How many boxes are of a further action of an actor on the same frame.
    """

    left_out: Counter[str] = field(default_factory=Counter)
    of_several: int = 0
    _ids: list[str] = field(default_factory=list)
    _tubes: list[tuple[int, Tube, npt.NDArray[np.intp]]] = field(default_factory=list)
    _looked_at: list[npt.NDArray[np.int64]] = field(default_factory=list)

    def add(self, video_id: str, labels: VideoLabels, facts: VideoFacts | None) -> None:
        """Takes the labels of a video.

        Args:
            video_id: Each once.
            labels: Boxes that no pool can hold are left out.
            facts: Of the decoded video; None for one that is not there, whose end is not known.
        """
        index = len(self._ids)
        self._ids.append(video_id)
        last = np.iinfo(np.int32).max if facts is None else facts.num_frames - 1
        with_box = [labels.looked_at[(labels.looked_at >= 0) & (labels.looked_at <= last)]]
        taken: set[tuple[str, int, int]] = set()
        for tube in labels.tubes:
            kept = self._usable(tube, last, taken)
            if len(kept):
                self._tubes.append((index, tube, kept))
                with_box.append(tube.frames[kept])
        self.of_several += len(taken) - len({(tube_id, frame) for tube_id, _, frame in taken})
        self._looked_at.append(np.unique(np.concatenate(with_box)))

    def tubes(self) -> pa.Table:
        """All boxes (`TUBES_SCHEMA`), video by video in the order they came."""
        if not self._tubes:
            return TUBES_SCHEMA.empty_table()
        counts = [len(kept) for _, _, kept in self._tubes]
        boxes = np.concatenate([tube.boxes[kept] for _, tube, kept in self._tubes]).astype(np.float32)
        masks = [mask for _, tube, kept in self._tubes for mask in _masks(tube, kept)]
        columns = [
            pa.array(np.repeat(np.array([self._ids[index] for index, _, _ in self._tubes], dtype=object), counts)),
            pa.array(np.repeat(np.array([tube.tube_id for _, tube, _ in self._tubes], dtype=object), counts)),
            pa.array(np.repeat([tube.class_id for _, tube, _ in self._tubes], counts), pa.int32()),
            pa.array(np.concatenate([tube.frames[kept] for _, tube, kept in self._tubes]), pa.int32()),
            *(pa.array(boxes[:, edge]) for edge in range(4)),
            pa.array(masks, pa.string()),
        ]
        return pa.Table.from_arrays(columns, schema=TUBES_SCHEMA)

    def looked_at(self) -> pa.Table:
        """All labelled frames (`LABELLED_FRAMES_SCHEMA`)."""
        if not self._looked_at:
            return LABELLED_FRAMES_SCHEMA.empty_table()
        counts = [len(frames) for frames in self._looked_at]
        columns = [
            pa.array(np.repeat(np.array(self._ids, dtype=object), counts), pa.string()),
            pa.array(np.concatenate(self._looked_at), pa.int32()),
        ]
        return pa.Table.from_arrays(columns, schema=LABELLED_FRAMES_SCHEMA)

    def notes(self) -> Sequence[str]:
        """What was left out, and what training will not see, a sentence each."""
        notes = [f"{count} boxes were left out: they {why}" for why, count in sorted(self.left_out.items())]
        if self.of_several:
            notes.append(
                f"{self.of_several} boxes tell of a further action of an actor on the same frame: figures count them, "
                "a detector is taught the first"
            )
        return notes

    def _usable(self, tube: Tube, last: int, taken: set[tuple[str, int, int]]) -> npt.NDArray[np.intp]:
        """Rows of a tube that a pool can hold; each frame of an actor and class once, the first one counts."""
        boxes = tube.boxes.astype(np.float32)
        extended = np.isfinite(boxes).all(axis=1) & (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
        beyond, before = tube.frames > last, tube.frames < 0
        usable = extended & ~beyond & ~before
        repeated = 0
        for row in np.flatnonzero(usable):
            key = (tube.tube_id, tube.class_id, int(tube.frames[row]))
            usable[row] = key not in taken
            repeated += key in taken
            taken.add(key)
        found = {BEYOND: beyond.sum(), NEGATIVE: before.sum(), NO_EXTENT: (~extended & ~beyond & ~before).sum()}
        for why, count in {**found, REPEATED: repeated}.items():
            if count:
                self.left_out[why] += int(count)
        return np.flatnonzero(usable)


def _masks(tube: Tube, rows: npt.NDArray[np.intp]) -> Sequence[str | None]:
    return [tube.masks[row] for row in rows] if tube.masks else [None] * len(rows)
