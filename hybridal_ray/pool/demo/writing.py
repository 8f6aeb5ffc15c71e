"""Writes the demo pool: its tables, from the staged clips alone, and its H.264 files."""

import io
import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import av
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.demo.actions import CLASSES
from hybridal_ray.pool.demo.difficulty import DemoDifficulty
from hybridal_ray.pool.demo.rendering import film
from hybridal_ray.pool.demo.scenes import paint_backdrop
from hybridal_ray.pool.demo.sources import PlannedClip, draw_source, plan_clips
from hybridal_ray.pool.demo.staging import FRAME_RATE, FRAME_SIZE, Staging, stage_clip
from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool, forget_pool, load_pool, save_pool

NAME = "demo"
_GENERATED = re.compile(r"source-\d{4}-clip-\d+\.mp4")
_WORKERS = 2  # threads: NumPy and the encoder release the interpreter's lock most of the time
_DEFAULT = DemoDifficulty()


def generate_demo_pool(root: str, *, videos: int = 240, seed: int = 0, difficulty: DemoDifficulty = _DEFAULT) -> Pool:
    """Makes a pool of short H.264 videos of figures that walk, wave, squat, jump, bow and kick.

    Equal arguments give equal tables and equal decoded pixels. ``pool.json`` is written after all videos.

    Args:
        root: Directory or URI to write to; files of the same names are replaced.
        videos: Number of videos, at least 8; with 240, both splits hold every action and every scene.
        seed: Seed of everything.
        difficulty: How hard the videos are.

    Returns:
        The pool as written.

    Raises:
        UserError: `videos` is too small, a pool of other videos is at `root`, or nothing can be written there.
    """
    pool = demo_tables(root, videos=videos, seed=seed, difficulty=difficulty)
    _refuse_to_overwrite(pool)
    clips_of: dict[int, list[PlannedClip]] = {}
    for planned in plan_clips(videos, seed):
        clips_of.setdefault(planned.source, []).append(planned)
    write = partial(_write_source, root, seed, difficulty)
    forget_pool(root)
    _remove_strays(pool)
    with ThreadPoolExecutor(_WORKERS) as workers:
        deque(workers.map(write, clips_of.values()), maxlen=0)  # the first error ends it and is raised here
    save_pool(pool)
    return pool


def demo_tables(root: str, *, videos: int, seed: int, difficulty: DemoDifficulty = _DEFAULT) -> Pool:
    """The tables of the pool that `generate_demo_pool` makes, without drawing or writing anything."""
    video_rows: list[dict[str, object]] = []
    tube_rows: list[dict[str, object]] = []
    for planned in plan_clips(videos, seed):
        staging = stage_clip(draw_source(seed, planned.source, difficulty), seed, planned.clip, difficulty)
        video_rows.append(_video_row(planned, staging))
        tube_rows += _tube_rows(planned, staging)
    return Pool(
        root=root,
        name=NAME,
        classes=CLASSES,
        videos=pa.Table.from_pylist(video_rows, VIDEOS_SCHEMA),
        tubes=pa.Table.from_pylist(tube_rows, TUBES_SCHEMA),
    )


def encode_h264(frames: npt.NDArray[np.uint8], rate: int) -> bytes:
    """Encodes frames (T, H, W, 3), uint8 RGB, as H.264 in an MP4 container.

    Equal frames give equal bytes: one thread, because the number of threads changes what x264 makes of a frame, and
    no macroblock tree, because on frames this small its result was seen to depend on what lay in memory before.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "19", "threads": "1", "x264-params": "mbtree=0"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def _refuse_to_overwrite(pool: Pool) -> None:
    """Stops before another pool is overwritten, a demo pool of other videos among them: runs go by what is in it."""
    location = storage.join(pool.root, "pool.json")
    if not storage.exists(location):
        return
    if (found := storage.read_json(location).get("name")) != NAME:
        raise UserError(f"{location}: the pool {found!r} is there already, expected no pool or a demo pool")
    try:
        there = load_pool(pool.root).identity()
    except UserError:
        return  # of what is broken nothing is lost
    if there != pool.identity():
        raise UserError(f"{location}: another demo pool is there; expected the same number and seed, or another place")


def _remove_strays(pool: Pool) -> None:
    """Removes what a longer generation that was cut off has left beside the videos of the pool."""
    own = {storage.join(pool.root, uri) for uri in pool.videos["uri"].to_pylist()}
    for file in storage.list_files(storage.join(pool.root, "videos"), suffix=".mp4"):
        if file not in own and _GENERATED.fullmatch(file.rpartition("/")[2]):
            storage.remove(file)


def _write_source(root: str, seed: int, difficulty: DemoDifficulty, clips: list[PlannedClip]) -> None:
    """Draws and writes all clips of one source."""
    source = draw_source(seed, clips[0].source, difficulty)
    backdrop = paint_backdrop(source, seed)
    for planned in clips:
        staging = stage_clip(source, seed, planned.clip, difficulty)
        frames = film(staging, backdrop, source, seed, planned.clip, difficulty)
        storage.write_bytes(storage.join(root, _uri(planned)), encode_h264(frames, FRAME_RATE))


def _uri(planned: PlannedClip) -> str:
    return f"videos/{planned.video_id}.mp4"


def _video_row(planned: PlannedClip, staging: Staging) -> dict[str, object]:
    return {
        "video_id": planned.video_id,
        "uri": _uri(planned),
        "split": planned.split,
        "group": planned.group,
        "num_frames": staging.num_frames,
        "fps": float(FRAME_RATE),
        "width": FRAME_SIZE,
        "height": FRAME_SIZE,
        "status": "ok",
        "reason": None,
    }


def _tube_rows(planned: PlannedClip, staging: Staging) -> list[dict[str, object]]:
    """One row a box; bystanders have none."""
    annotated = [performance for performance in staging.performances if performance.action is not None]
    return [
        {
            "video_id": planned.video_id,
            "tube_id": f"{planned.video_id}-actor-{number}",
            "class_id": CLASSES.index(str(performance.action)),
            "frame": int(frame),
            **dict(zip(("x1", "y1", "x2", "y2"), map(float, box), strict=True)),
            "mask": None,
        }
        for number, performance in enumerate(annotated)
        for frame, box in zip(performance.frames, performance.boxes, strict=True)
    ]
