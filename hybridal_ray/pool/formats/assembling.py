"""From annotations and a folder of videos to a pool: every video is decoded once, every label put on its frames."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from typing import Any

import pyarrow as pa

from hybridal_ray.errors import UserError
from hybridal_ray.pool.containers import UnreadableVideo
from hybridal_ray.pool.decoder_process import DecoderProcess
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.annotations import AnnotatedVideo, Annotations, no_labels
from hybridal_ray.pool.formats.label_tables import LabelTables
from hybridal_ray.pool.formats.media import MediaFolder
from hybridal_ray.pool.formats.replacing import refuse_to_replace
from hybridal_ray.pool.tables import VIDEOS_SCHEMA, Pool, save_pool

Progress = Callable[[int, int], None]
NO_FACTS = VideoFacts(num_frames=0, fps=0.0, width=0, height=0)
SECONDS_PER_VIDEO = 600.0
NAMES_TOLD = 3


@dataclass(frozen=True)
class Imported:
    """A pool, and what the person who imports it should know.

    Attributes:
        pool: As saved.
        notes: What is missing, was left out or taken differently than one would expect, a sentence each.
    """

    pool: Pool
    notes: Sequence[str]


@dataclass(frozen=True)
class _Seen:
    """What became of a video: where it lies, and its facts or why there are none."""

    uri: str
    status: str
    reason: str | None
    facts: VideoFacts | None


def assemble_pool(
    annotations: Annotations,
    media: MediaFolder,
    source: str,
    root: str,
    *,
    name: str,
    fps: float | None = None,
    seconds_per_video: float = SECONDS_PER_VIDEO,
    progress: Progress | None = None,
) -> Imported:
    """Makes a pool and saves it.

    A video that the folder does not hold gets the status ``missing``; its labels are kept as far as they can be told
    without it, so that importing again completes the pool. One that does not decode gets ``unreadable``. Decoding
    happens in processes of its own: a file that crashes the decoder is unreadable too.

    Args:
        annotations: What is labelled.
        media: Where the videos are.
        source: The annotation file, for messages.
        root: Directory or URI of the pool to write; video URIs in it are absolute.
        name: Of the pool.
        fps: Frame rate of videos that state none, such as folders of images.
        seconds_per_video: After which a video that is still being decoded counts as unreadable.
        progress: Called with (videos done, videos in all) after each.

    Raises:
        UserError: There are no videos, two classes have one name, an annotation names a file outside the folder of
            videos, or what is at `root` may not be replaced (`refuse_to_replace`).
    """
    videos = sorted(annotations.videos, key=lambda video: video.video_id)
    if not videos:
        raise UserError(f"{source}: names no video")
    if twice := [name for name, count in Counter(annotations.classes).items() if count > 1]:
        raise UserError(f"{source}: names the class {twice[0]!r} more than once, expected each name once")
    # Before hours of decoding, and again when it is known whether any box is left.
    ids = [video.video_id for video in videos]
    refuse_to_replace(root, name, annotations.classes, ids, labelled=_may_have_labels(videos))
    with DecoderProcess(seconds_per_video) as first, DecoderProcess(seconds_per_video) as second:
        seen = _look_at(videos, media.find_all(ids, source), (first, second), fps, progress)
    tables, rows = LabelTables(), []
    for video, found in zip(videos, seen, strict=True):
        facts = found.facts or video.claimed
        if facts is not None:
            tables.add(video.video_id, video.labels(facts), found.facts)
        rows.append(_row(video, found))
    pool = Pool(
        root=root,
        name=name,
        classes=annotations.classes,
        videos=pa.Table.from_pylist(rows, VIDEOS_SCHEMA),
        tubes=tables.tubes(),
        looked_at=tables.looked_at(),
    )
    refuse_to_replace(root, name, annotations.classes, ids, labelled=pool.tubes.num_rows > 0)
    save_pool(pool)
    unsure = _unsure_times(videos, seen) if annotations.by_time else []
    return Imported(pool, [*annotations.notes, *_absences(videos, seen), *unsure, *tables.notes()])


def _may_have_labels(videos: Sequence[AnnotatedVideo]) -> bool:
    return any(video.labels is not no_labels for video in videos)


def _look_at(
    videos: Sequence[AnnotatedVideo],
    uris: Sequence[str | None],
    free: Sequence[DecoderProcess],
    fps: float | None,
    progress: Progress | None,
) -> list[_Seen]:
    """Decodes what is there, as many videos at a time as there are decoders."""
    decoders: SimpleQueue[DecoderProcess] = SimpleQueue()
    for decoder in free:
        decoders.put(decoder)
    seen: list[_Seen] = []
    with ThreadPoolExecutor(max_workers=len(free)) as executor:
        for found in executor.map(partial(_see, fps=fps, decoders=decoders), videos, uris):
            seen.append(found)
            if progress is not None:
                progress(len(seen), len(videos))
    return seen


def _see(video: AnnotatedVideo, uri: str | None, fps: float | None, decoders: "SimpleQueue[DecoderProcess]") -> _Seen:
    if uri is None:
        return _Seen(video.video_id, "missing", "not in the folder of videos", None)
    decoder = decoders.get()
    try:
        facts = decoder.probe(uri)
    except UnreadableVideo as error:
        return _Seen(uri, "unreadable", error.reason, None)
    finally:
        decoders.put(decoder)
    return _Seen(uri, "ok", None, replace(facts, fps=facts.fps or fps or 0.0))


def _row(video: AnnotatedVideo, found: _Seen) -> dict[str, Any]:
    facts = found.facts or video.claimed or NO_FACTS
    return {
        "video_id": video.video_id,
        "uri": found.uri,
        "split": video.split,
        "group": video.group or video.video_id,
        "num_frames": facts.num_frames,
        "fps": facts.fps,
        "width": facts.width,
        "height": facts.height,
        "status": found.status,
        "reason": found.reason,
    }


def _absences(videos: Sequence[AnnotatedVideo], seen: Sequence[_Seen]) -> list[str]:
    """One sentence for all missing videos, one for all unreadable ones."""
    notes = []
    what = "annotated videos" if _may_have_labels(videos) else "videos"
    for status, how in (("missing", "are not in the folder of videos"), ("unreadable", "cannot be decoded")):
        names = [video.video_id for video, found in zip(videos, seen, strict=True) if found.status == status]
        if names:
            notes.append(f"{len(names)} of {len(videos)} {what} {how}: {_told(names)}")
    return notes


def _unsure_times(videos: Sequence[AnnotatedVideo], seen: Sequence[_Seen]) -> list[str]:
    """One sentence for all videos in which a time does not tell the frame."""
    names = [
        video.video_id
        for video, found in zip(videos, seen, strict=True)
        if video.labels is not no_labels and found.facts is not None and found.facts.variable_rate
    ]
    if not names:
        return []
    return [
        f"{len(names)} of {len(videos)} annotated videos have frames of unequal length: {_told(names)}; their labels, "
        "which are told by time, were placed by the average frame rate and may lie on other frames than was meant"
    ]


def _told(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_TOLD]) + (", …" if len(names) > NAMES_TOLD else "")
