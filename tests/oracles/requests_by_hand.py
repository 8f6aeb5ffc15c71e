"""A pool of tables alone, and a request on it, made by hand."""

from dataclasses import replace

import pyarrow as pa

from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool
from hybridal_ray.requests.request import AskedFrame, AskedVideo, ProposedBox, Request, task_name

ID = "0123456789ab"
RUN_IDENTITY = "0123456789abcdef0123456789abcdef"
CLASSES = ("wave", "kick")
PROPOSED = ProposedBox("wave", (4.0, 4.0, 20.0, 20.0), 0.9, "tube-000")


def pool() -> Pool:
    """Three videos of 10 frames of 64×48 pixels: ``a`` and ``b`` to train on, ``t`` to test on."""
    rows = [
        {
            "video_id": name,
            "uri": f"{name}.mp4",
            "split": "test" if name == "t" else "train",
            "group": name,
            "num_frames": 10,
            "fps": 25.0,
            "width": 64,
            "height": 48,
            "status": "ok",
            "reason": None,
        }
        for name in ("a", "b", "t")
    ]
    return Pool("pool", "by hand", CLASSES, pa.Table.from_pylist(rows, VIDEOS_SCHEMA), TUBES_SCHEMA.empty_table())


def request(directory: str = "run/start/request", twice: tuple[int, ...] = (), for_round: int = 0) -> Request:
    """Asks for frames 2 and 5 of ``a`` and 7 of ``b``; a wave is proposed on the first.

    Args:
        directory: Of the request.
        twice: Ranks of the frames that two annotators are to answer.
        for_round: Of the request.
    """
    places = [("a", 2), ("a", 5), ("b", 7)]
    frames = tuple(
        AskedFrame(
            task=task_name(ID, rank),
            video_id=video_id,
            frame=frame,
            seconds=frame / 25,
            image=f"images/{task_name(ID, rank)}.png",
            clip=f"clips/{task_name(ID, rank)}.mp4",
            clip_start=0,
            answers_wanted=2 if rank in twice else 1,
            why={"rank": rank, "uncertainty": 0.5},
            proposed=(PROPOSED,) if rank == 0 else (),
        )
        for rank, (video_id, frame) in enumerate(places)
    )
    videos = {name: AskedVideo(name, f"{name}.mp4", 10, 25.0, 64, 48, (), ()) for name in ("a", "b")}
    return Request(ID, "run", for_round, CLASSES, videos, frames, (), directory, RUN_IDENTITY)


def nothing_proposed(asked: Request) -> Request:
    """The same as before the first detector."""
    return replace(asked, frames=tuple(replace(frame, proposed=None) for frame in asked.frames))
