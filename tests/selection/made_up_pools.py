"""Small made-up pools, and requests on them, for the tests of selection."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st

from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.score_batches import ScoreTable

RELAXED = settings(deadline=None, max_examples=50)  # machines that test are busy


def make_video(video_id: str, num_frames: int = 20) -> Video:
    return Video(video_id, f"/videos/{video_id}.mp4", "train", video_id, num_frames, width=64, height=48)


def score_row(video_id: str, score: float | None, latent: list[float] | None, frames: list[int]) -> dict[str, Any]:
    """A row of SCORES_SCHEMA whose frame f has uncertainty f + 0.5 and penalty f / 100; error row without score."""
    scored = score is not None
    return {
        "video_id": video_id,
        "video_score": score,
        "frames": frames if scored else None,
        "frame_scores": [frame + 0.5 for frame in frames] if scored else None,
        "frame_penalties": [frame / 100 for frame in frames] if scored else None,
        "latent": latent,
        "profile": [frame / 100 for frame in range(max(frames, default=0) + 1)] if scored else None,
        "empty_frames": 0 if scored else None,
        "class_scores": [0.75, 0.25] if scored else None,
        "error": None if scored else "cannot be decoded",
    }


def make_request(videos: list[Video], rows: list[dict[str, Any]] | None = None, **changes: Any) -> SelectionRequest:
    fields: dict[str, Any] = {
        "videos": videos,
        "labelled": {},
        "scores": None if rows is None else ScoreTable(pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)),
        "centres": np.array([[0.0], [10.0]]),
        "num_videos": 3,
        "frames_per_video": 2,
        "max_frames": None,
        "revisit_fraction": 0.0,
        "seed": 0,
        "memory_mib": 64,
        "clusters_to": None,
    }
    return SelectionRequest(**(fields | changes))


@st.composite
def requests(draw: st.DrawFn) -> SelectionRequest:
    """Any request: videos new, partly and wholly answered or labelled, unscored, tied, in three clusters or fewer."""
    videos, rows, labelled, answered = [], [], {}, {}
    for index in range(draw(st.integers(0, 12))):
        video = make_video(f"v{index:02d}", draw(st.integers(1, 8)))
        every = range(video.num_frames)
        taken = draw(st.just(()) | st.sets(st.sampled_from(every)).map(sorted))
        score = draw(st.none() | st.sampled_from([-1.0, 0.0, 0.5, 2.0]) | st.floats(-5, 5))
        latent = None if score is None else [draw(st.sampled_from([0.0, 9.0, 30.0]))]
        # Scoring never takes an answered frame; selection must hold even where it did.
        frames = draw(st.lists(st.sampled_from(every), unique=True))
        videos.append(video)
        rows.append(score_row(video.video_id, score, latent, frames))
        if taken:
            answered[video.video_id] = taken
            labelled[video.video_id] = taken[: draw(st.integers(0, len(taken)))]
    videos.append(make_video("scored"))
    rows.append(score_row("scored", 1.0, [0.0], [3, 1, 4]))
    return make_request(
        draw(st.permutations(videos)),
        draw(st.permutations(rows)),
        labelled=labelled,
        answered=answered,
        centres=draw(st.none() | st.just(np.array([[0.0], [10.0], [20.0]]))),
        num_videos=draw(st.integers(0, 15)),
        frames_per_video=draw(st.integers(1, 10)),
        max_frames=draw(st.none() | st.integers(0, 30)),
        revisit_fraction=draw(st.sampled_from([0.0, 0.25, 0.5, 1.0])),
        seed=draw(st.integers(0, 3)),
    )
