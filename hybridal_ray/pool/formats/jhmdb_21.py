"""Importer of J-HMDB-21: short clips of 21 actions, one actor with a mask on every frame.

Layout on disk: ``VIDEOS/<class>/<clip>.avi`` and ``MASKS/<class>/<clip>.mat`` (MATLAB v5, ``part_mask``: uint8
(H, W, T), frame t belonging to the t-th decoded frame). Clips were cut from a few hundred source videos, so the
split is by source, or near-duplicates leak from training into test; or it is one of the three official ones.
Reference: Jhuang et al., "Towards understanding action recognition", ICCV 2013.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.io

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.decoding import UnreadableVideo, VideoFacts, probe
from hybridal_ray.pool.formats.replacing import refuse_to_replace
from hybridal_ray.pool.masks import BoolMask, box_of_mask, encode_mask
from hybridal_ray.pool.splits import read_official_split, split_by_source
from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool, save_pool
from hybridal_ray.pool.untrusted import MAX_ARRAY_BYTES

Progress = Callable[[int, int], None]
NAME = "jhmdb_21"
_NO_FACTS = VideoFacts(num_frames=0, fps=0.0, width=0, height=0)


@dataclass(frozen=True)
class _Clip:
    """A clip as the file of groups names it; `source` is without the class."""

    path: str
    action: str
    source: str

    @property
    def video_id(self) -> str:
        return self.path.removesuffix(".avi")


@dataclass(frozen=True)
class _Annotated:
    """What was read of a clip: its facts and the rows of its tube, or why it cannot be used."""

    status: str
    reason: str | None = None
    facts: VideoFacts = _NO_FACTS
    boxes: list[dict[str, Any]] = field(default_factory=list)


def ingest_jhmdb_21(
    videos: Path,
    masks: Path,
    groups: Path,
    root: str,
    *,
    test_fraction: float,
    seed: int,
    official: Path | None = None,
    split: int = 1,
    progress: Progress | None = None,
) -> Pool:
    """Makes a pool of J-HMDB-21 and saves it.

    Classes are the sorted folder names of `videos`. A clip that is absent gets the status ``missing``. One that
    does not decode, or whose mask file is absent, unreadable or of another size, gets ``unreadable``: scored as a
    test video without actors, it would falsify every metric. Where clip and masks differ in length, the frames
    that both have are the video's frames. A frame with an empty mask has no box.

    Args:
        videos: Folder of ``<class>/<clip>.avi``.
        masks: Folder of ``<class>/<clip>.mat``.
        groups: JSON object from ``"<class>|<source>"`` to the clips cut from that source, ``"<class>/<clip>.avi"``.
            A source that occurs under several classes is one group, since its clips share actors and scenes.
        root: Directory or URI of the pool to write; video URIs in it are absolute.
        test_fraction: Share of the clips of every class that is held out, in (0, 1); met as closely as whole
            sources allow, and every class has test and training clips.
        seed: Of the split.
        official: Folder of the official split files, instead of a split by source; clips that they do not name, or
            name for neither side, are left out. A source with clips on both sides is no group then.
        split: Which of the three official splits.
        progress: Called with (clips done, clips in all) after each clip.

    Returns:
        The pool, as saved under `root`.

    Raises:
        UserError: A folder or the file of groups is absent or malformed, a clip on disk is in no group, a class
            has too few sources to be split, or what is at `root` may not be replaced (`refuse_to_replace`).
    """
    classes = _class_folders(videos)
    clips = _read_groups(groups, videos, classes)
    if not masks.is_dir():
        raise UserError(f"{masks}: no such folder, expected the masks, <class>/<clip>.mat")
    if not any(masks.glob("*/*.mat")):
        raise UserError(f"{masks}: holds no <class>/<clip>.mat")
    if official is None:
        by_source = split_by_source(
            [clip.action for clip in clips], [clip.source for clip in clips], test_fraction, seed
        )
        splits = {clip.path: by_source[clip.source] for clip in clips}
    else:
        splits = dict(read_official_split(official, split))
        clips = _grouped_within(splits, [clip for clip in clips if clip.path in splits])
    ids = [clip.video_id for clip in clips]
    refuse_to_replace(root, NAME, classes, ids, labelled=True)
    annotated = _read_clips(clips, videos, masks, progress)
    pool = Pool(
        root=root,
        name=NAME,
        classes=classes,
        videos=pa.Table.from_pylist(
            [_video_row(clip, videos, splits[clip.path], found) for clip, found in zip(clips, annotated, strict=True)],
            VIDEOS_SCHEMA,
        ),
        tubes=pa.Table.from_pylist(
            [
                {"video_id": clip.video_id, "tube_id": "0", "class_id": classes.index(clip.action), **box}
                for clip, found in zip(clips, annotated, strict=True)
                for box in found.boxes
            ],
            TUBES_SCHEMA,
        ),
    )
    refuse_to_replace(root, NAME, classes, ids, labelled=pool.tubes.num_rows > 0)
    save_pool(pool)
    return pool


def _class_folders(videos: Path) -> tuple[str, ...]:
    if not videos.is_dir():
        raise UserError(f"{videos}: no such folder, expected the clips, <class>/<clip>.avi")
    classes = tuple(sorted(entry.name for entry in videos.iterdir() if any(entry.glob("*.avi"))))
    if not classes:
        raise UserError(f"{videos}: holds no <class>/<clip>.avi")
    return classes


def _read_groups(groups: Path, videos: Path, classes: tuple[str, ...]) -> list[_Clip]:
    """The clips that the file of groups names, ordered by path, checked against the folder of videos."""
    content = storage.read_json(str(groups))
    if not isinstance(content, dict):
        raise UserError(f'{groups}: found a {type(content).__name__}, expected an object of "class|source" keys')
    clips: dict[str, _Clip] = {}
    for key, paths in content.items():
        action, bar, source = key.partition("|")
        if not bar or action not in classes:
            raise UserError(f'{groups}: key {key!r}, expected "class|source" with a class folder of {videos}')
        if not isinstance(paths, list):
            raise UserError(f"{groups}: {key!r} holds a {type(paths).__name__}, expected a list of clips")
        for path in paths:
            if not isinstance(path, str) or not path.startswith(f"{action}/") or not path.endswith(".avi"):
                raise UserError(f'{groups}: {key!r} holds {path!r}, expected "{action}/<clip>.avi"')
            if path in clips:
                raise UserError(f"{groups}: {path!r} is listed twice, expected one source a clip")
            clips[path] = _Clip(path, action, source)
    on_disk = {f"{action}/{file.name}" for action in classes for file in (videos / action).glob("*.avi")}
    if strangers := sorted(on_disk - clips.keys()):
        raise UserError(
            f"{groups}: {len(strangers)} clips of {videos} are in no group, such as {strangers[0]!r}; "
            "without its source a clip cannot be split without leaks"
        )
    return [clips[path] for path in sorted(clips)]


def _grouped_within(splits: dict[str, str], clips: list[_Clip]) -> list[_Clip]:
    """Clips of a source that a split divides, each as a source of its own."""
    sides: dict[str, set[str]] = {}
    for clip in clips:
        sides.setdefault(clip.source, set()).add(splits[clip.path])
    return [clip if len(sides[clip.source]) == 1 else replace(clip, source=clip.video_id) for clip in clips]


def _read_clips(clips: list[_Clip], videos: Path, masks: Path, progress: Progress | None) -> list[_Annotated]:
    """Decodes all clips and reads their masks; threads suffice, as FFmpeg and zlib let go of the interpreter."""
    found: list[_Annotated] = []
    with ThreadPoolExecutor(max_workers=2) as executor:
        for annotated in executor.map(lambda clip: _read_clip(clip, videos, masks), clips):
            found.append(annotated)
            if progress is not None:
                progress(len(found), len(clips))
    return found


def _read_clip(clip: _Clip, videos: Path, masks: Path) -> _Annotated:
    video_file = videos / clip.path
    if not video_file.exists():
        return _Annotated("missing", "no such file")
    try:
        facts = probe(str(video_file))
    except UnreadableVideo as error:
        return _Annotated("unreadable", error.reason)
    try:
        part_mask = _read_masks(masks / f"{clip.video_id}.mat")
    except _MaskFileError as error:
        return _Annotated("unreadable", str(error))
    if part_mask.shape[:2] != (facts.height, facts.width):
        height, width = part_mask.shape[:2]
        return _Annotated("unreadable", f"masks are {width}×{height}, frames {facts.width}×{facts.height} pixels")
    num_frames = min(facts.num_frames, part_mask.shape[2])
    boxes = [_box_row(frame, part_mask[:, :, frame]) for frame in range(num_frames)]
    return _Annotated("ok", None, replace(facts, num_frames=num_frames), [box for box in boxes if box is not None])


class _MaskFileError(Exception):
    """The mask file of a clip is of no use; the message says why."""


def _read_masks(mask_file: Path) -> BoolMask:
    """Reads ``part_mask``, (H, W, T), T at least 1."""
    if not mask_file.exists():
        raise _MaskFileError("no mask file")
    try:
        claimed = {name: math.prod(shape) for name, shape, _ in scipy.io.whosmat(mask_file)}
        if claimed.get("part_mask", 0) > MAX_ARRAY_BYTES:
            raise _MaskFileError(f"mask file claims {claimed['part_mask']} pixels")
        content = scipy.io.loadmat(mask_file, variable_names=["part_mask"])
    except _MaskFileError:
        raise
    except Exception as error:  # scipy raises whatever its parser stumbles over
        raise _MaskFileError(f"mask file cannot be read: {error}") from error
    part_mask = content.get("part_mask")
    if part_mask is None:
        raise _MaskFileError("mask file holds no part_mask")
    if part_mask.ndim == 2:  # MATLAB drops a last axis of length 1
        part_mask = part_mask[:, :, np.newaxis]
    if part_mask.ndim != 3 or part_mask.size == 0:
        raise _MaskFileError(f"part_mask is of shape {part_mask.shape}, expected (H, W, T)")
    return part_mask != 0


def _box_row(frame: int, mask: BoolMask) -> dict[str, Any] | None:
    """What a row of `TUBES_SCHEMA` says of one frame; None where nobody is on it."""
    box = box_of_mask(mask)
    if box is None:
        return None
    x1, y1, x2, y2 = box
    return {"frame": frame, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "mask": encode_mask(mask)}


def _video_row(clip: _Clip, videos: Path, split: str, found: _Annotated) -> dict[str, Any]:
    return {
        "video_id": clip.video_id,
        "uri": os.path.abspath(videos / clip.path),
        "split": split,
        "group": clip.source,
        **asdict(found.facts),
        "status": found.status,
        "reason": found.reason,
    }
