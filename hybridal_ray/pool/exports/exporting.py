"""The labels of a pool, video by video, as exporters write them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.formats.annotations import FrameNumbers, Tube
from hybridal_ray.pool.tables import Pool
from hybridal_ray.pool.untrusted import inner_path


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        videos: With their labels.
        masks_left_out: Boxes whose mask stayed behind.
    """

    videos: int
    masks_left_out: int


@dataclass(frozen=True)
class LabelledVideo:
    """A video with its labels.

    Attributes:
        video_id: Of the pool.
        uri: As the pool has it.
        split: ``train``, ``val`` or ``test``.
        num_frames: Of the decoded video.
        fps: 0.0 where the video states none.
        width: Pixels.
        height: Pixels.
        tubes: By tube id and class, each ascending in its frames.
        looked_at: Frames that somebody labelled, ascending, those with a box among them; None where the pool does
            not tell frames without a box from frames that nobody looked at.
    """

    video_id: str
    uri: str
    split: str
    num_frames: int
    fps: float
    width: int
    height: int
    tubes: Sequence[Tube]
    looked_at: FrameNumbers | None

    @property
    def file_name(self) -> str:
        """Path of the video as annotation files name it: the id, with the ending of the file."""
        base = self.uri.rstrip("/").rpartition("/")[2]
        dot = base.rfind(".")
        return self.video_id + (base[dot:] if dot > 0 and not self.video_id.endswith(base[dot:]) else "")

    @property
    def num_masks(self) -> int:
        """Boxes that have a mask."""
        return sum(mask is not None for tube in self.tubes for mask in tube.masks)

    @property
    def labelled(self) -> FrameNumbers:
        """The labelled frames as far as they are known."""
        if self.looked_at is not None:
            return self.looked_at
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(tube.frames for tube in self.tubes)]))


def labelled_videos(pool: Pool, split: str | None = None) -> Iterator[LabelledVideo]:
    """The videos that have labels, by id.

    Args:
        pool: Of which.
        split: ``train``, ``val`` or ``test``; None for all.

    Raises:
        UserError: The pool has no labels in that split.
    """
    rows = pool.videos.filter(pc.field("split") == split) if split is not None else pool.videos
    tubes = _by_video(
        pool.tubes.sort_by([(name, "ascending") for name in ("video_id", "tube_id", "class_id", "frame")])
    )
    frames = None if pool.looked_at is None else _by_video(pool.looked_at.sort_by("video_id"))
    found = False
    for row in rows.sort_by("video_id").to_pylist():
        video_id = row["video_id"]
        looked_at = None if frames is None else _frames(frames.get(video_id))
        if video_id not in tubes and (looked_at is None or len(looked_at) == 0):
            continue
        found = True
        facts = {name: row[name] for name in ("video_id", "uri", "split", "num_frames", "fps", "width", "height")}
        yield LabelledVideo(**facts, tubes=_tubes(tubes.get(video_id)), looked_at=looked_at)
    if not found:
        where = f" in its split {split!r}" if split is not None else ""
        raise UserError(f"{pool.root}: has no labels{where} that could be exported")


def target(folder: str, video_id: str, suffix: str) -> str:
    """The file for a video in a folder of files: slashes of the id become folders.

    Raises:
        UserError: The id leaves the folder.
    """
    return storage.join(folder, inner_path(video_id, "videos.parquet") + suffix)


def needs_size(video: LabelledVideo) -> None:
    """Checks that a video of the pool has a size, where a format has coordinates in parts of it.

    Raises:
        UserError: It has none.
    """
    if video.width < 1 or video.height < 1:
        raise UserError(
            f"{video.video_id}: width and height are not known, so its boxes cannot be scaled; import it anew"
        )


def needs_rate(video: LabelledVideo) -> None:
    """Checks that a video of the pool has a frame rate, where a format tells frames by their time.

    Raises:
        UserError: It has none.
    """
    if video.fps <= 0:
        raise UserError(f"{video.video_id}: states no frame rate, so its frames have no time; ingest it with --fps")


def _by_video(table: pa.Table) -> dict[str, pa.Table]:
    """Slices of a table that is sorted by video."""
    ids = table["video_id"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]])) if len(ids) else np.zeros(0, dtype=int)
    ends = [*starts[1:].tolist(), len(ids)]
    return {ids[start]: table.slice(start, end - start) for start, end in zip(starts.tolist(), ends, strict=False)}


def _frames(table: pa.Table | None) -> FrameNumbers:
    return np.zeros(0, dtype=np.int64) if table is None else np.unique(table["frame"].to_numpy().astype(np.int64))


def _tubes(table: pa.Table | None) -> list[Tube]:
    if table is None:
        return []
    ids, classes = table["tube_id"].to_pylist(), table["class_id"].to_pylist()
    frames = table["frame"].to_numpy().astype(np.int64)
    boxes = np.stack([table[edge].to_numpy() for edge in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float64)
    masks = table["mask"].to_pylist()
    tubes, start = [], 0
    for end in range(1, len(ids) + 1):
        if end == len(ids) or (ids[end], classes[end]) != (ids[start], classes[start]):
            kept = masks[start:end]
            chosen = kept if any(mask is not None for mask in kept) else ()
            tubes.append(Tube(ids[start], classes[start], frames[start:end], boxes[start:end], chosen))
            start = end
    return tubes
