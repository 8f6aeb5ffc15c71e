"""Every video of a pool decoded once, on Ray or in this process, and what was found put together."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from hybridal_ray.chunk_plan import seconds_allowed
from hybridal_ray.chunks import ChunkWorker, Progress, Row, read_parts
from hybridal_ray.dispatch import ActorPlan, run_over_videos
from hybridal_ray.pool import storage
from hybridal_ray.pool.containers import UnreadableVideo
from hybridal_ray.pool.decoder_process import DecoderProcess
from hybridal_ray.pool.findings import TOLD, UNUSABLE, Finding, find_faults
from hybridal_ray.pool.inspection import Inspection, inspect_video, inspection_of
from hybridal_ray.pool.tables import Pool, Video

SEEN_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("found", pa.string(), nullable=True),  # the fields of an `Inspection`, as JSON
        pa.field("error", pa.string(), nullable=True),
    ]
)


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        videos: How many were looked at.
        seen: By video, of those that decode.
        findings: By kind and video.
    """

    videos: int
    seen: dict[str, Inspection]
    findings: Sequence[Finding]

    @property
    def unusable(self) -> int:
        """Videos that cannot be used as the pool stands."""
        return len({finding.video_id for finding in self.findings if finding.unusable})

    def as_json(self) -> dict[str, object]:
        """The report as plain values."""
        return {"videos": self.videos, "unusable": self.unusable, "findings": [asdict(f) for f in self.findings]}

    def print(self, console: Console) -> None:
        """Writes a line for each kind of thing that was found, with an example."""
        table = Table(title=f"{self.videos} videos, {self.unusable} of them unusable")
        for heading in ("finding", "videos", "what it means", "such as"):
            table.add_column(heading, overflow="fold")
        counts = Counter(kind for kind, _ in {(finding.kind, finding.video_id) for finding in self.findings})
        for kind, meaning in {**UNUSABLE, **TOLD}.items():
            first = next((finding for finding in self.findings if finding.kind == kind), None)
            if first is not None:
                example = f"{first.video_id}: {first.detail}"
                table.add_row(kind, str(counts[kind]), meaning, example, style="red" if kind in UNUSABLE else None)
        console.print(table, markup=False)


class _Worker:
    """Looks at videos; in a process of its own where `isolated`, so that a crash of the decoder costs one video."""

    def __init__(self, seconds: float, isolated: bool) -> None:
        self._seconds = seconds
        self._decoder = DecoderProcess() if isolated else None

    def process(self, videos: Sequence[Video]) -> list[Row]:
        """See `ChunkWorker`."""
        return [self._row(video) for video in videos]

    def _row(self, video: Video) -> Row:
        try:
            if self._decoder is None:
                found = inspect_video(video.uri)
            else:
                found = self._decoder.inspect(video.uri, seconds_allowed([video], self._seconds))
        except UnreadableVideo as error:
            return {"video_id": video.video_id, "found": None, "error": error.reason}
        return {"video_id": video.video_id, "found": json.dumps(asdict(found)), "error": None}


@dataclass(frozen=True)
class _MakeWorker:
    seconds: float
    isolated: bool

    def __call__(self) -> ChunkWorker:
        return _Worker(self.seconds, self.isolated)


def check_pool(pool: Pool, work_dir: str, plan: ActorPlan, progress: Progress | None = None) -> CheckReport:
    """Decodes every video of a pool once and compares what comes out with its tables.

    Args:
        pool: Which; videos of any status are tried.
        work_dir: Path or URI, the same for all nodes, for what has been seen so far; a check that was cut off goes on
            there.
        plan: Who decodes; an actor that dies of a video is replaced, and without actors a process of its own decodes.
        progress: Called with the videos done and all videos.

    Raises:
        UserError: No actor could start, or `work_dir` belongs to a check of other videos.
    """
    videos = [
        Video(
            row["video_id"],
            storage.resolve_uri(row["uri"], pool.root),
            row["split"],
            row["group"],
            row["num_frames"],
            row["width"],
            row["height"],
        )
        for row in pool.videos.to_pylist()
    ]
    run_over_videos(
        videos,
        _MakeWorker(plan.seconds_per_video, isolated=plan.actors == 0),
        work_dir,
        error_row=_error_row,
        schema=SEEN_SCHEMA,
        plan=plan,
        progress=progress,
    )
    rows = read_parts(work_dir, SEEN_SCHEMA).to_pylist()
    failed = {row["video_id"]: row["error"] for row in rows if row["found"] is None}
    seen = {row["video_id"]: inspection_of(json.loads(row["found"])) for row in rows if row["found"] is not None}
    return CheckReport(len(videos), seen, find_faults(pool, seen, failed))


def _error_row(video: Video, reason: str) -> Row:
    return {"video_id": video.video_id, "found": None, "error": reason}
