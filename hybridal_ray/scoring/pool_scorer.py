"""Scoring the pool on Ray actors: the stage's edge, thin over `hybridal_ray.dispatch`."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch

from hybridal_ray.chunks import Progress, read_parts
from hybridal_ray.detectors.checkpoint import choose_device, load_detector
from hybridal_ray.detectors.feature_cache import FeatureCache
from hybridal_ray.dispatch import ActorPlan, PassSummary, refuse_total_failure, run_over_videos
from hybridal_ray.pass_progress import Watch
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.score_index import ScoreIndex, scoring_key
from hybridal_ray.scoring.shortcuts import Shortcuts
from hybridal_ray.scoring.video_scoring import UncertaintySettings, VideoScorer, error_row

# Measured with the compact detector at R = 10: one core does 65 frames/s of 64 × 64 pixels with one clip and 49 with
# four, which leave its caches; an H100 does 900 of 224 × 224 with one, 1600 with four, and no more with sixteen.
CLIPS_PER_BATCH = {"cpu": 1, "cuda": 4}


def score_pool(
    videos: Sequence[Video],
    labelled: Mapping[str, Sequence[int]],
    checkpoint_dir: str,
    out_dir: str,
    *,
    settings: UncertaintySettings,
    run_seed: int,
    round_index: int,
    plan: ActorPlan,
    feature_cache: str | None = None,
    shortcuts: Shortcuts | None = None,
    autocast: torch.dtype | None = None,
    score_index: str | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> PassSummary:
    """Scores every video of the pool with the detector of a checkpoint.

    Of the labels it receives only which frames are labelled already, so nothing else can reach the scores. They
    are the same whatever the number of actors and the order of the videos.

    Args:
        videos: The pool: labelled videos too, for selection needs their latents.
        labelled: Frames that are labelled already, by video id; a video without any may be left out.
        checkpoint_dir: Written by `save_detector`; every actor reads it once.
        out_dir: Gets the parts, read by `read_scores`.
        settings: How a video is scored.
        run_seed: Seed of the run.
        round_index: The round.
        plan: Who does it.
        feature_cache: Where features of the encoder are kept between rounds, path or URI; worth while for a frozen
            encoder. None keeps none.
        shortcuts: See `VideoScorer`.
        autocast: See `VideoScorer`.
        score_index: Where finished scorings are listed, path or URI; one that is the same in all that decides it is
            copied. None looks for none.
        progress: Called with the videos done and all videos.
        watch: Called with all that is known of the progress.

    Returns:
        What was done and which videos failed.

    Raises:
        UserError: Every video failed; or see `run_over_videos`, `load_detector` and `FeatureCache`.
    """
    make_worker = functools.partial(
        PoolWorker,
        labelled,
        checkpoint_dir,
        settings,
        run_seed=run_seed,
        round_index=round_index,
        device=plan.device,
        feature_cache=feature_cache,
        shortcuts=shortcuts,
        autocast=autocast,
    )
    index = None if score_index is None else ScoreIndex(score_index)
    if index is not None:
        arithmetic = {"shortcuts": shortcuts or Shortcuts(), "autocast": str(autocast)}
        masks = {"run_seed": run_seed, "round_index": round_index}
        device = {"device": plan.device, "gpu": plan.gpus_per_actor > 0}
        key = scoring_key(checkpoint_dir, videos, labelled, {"settings": settings, **arithmetic, **masks, **device})
        index.fetch(key, out_dir)
    summary = run_over_videos(
        videos,
        make_worker,
        out_dir,
        error_row=error_row,
        schema=SCORES_SCHEMA,
        plan=plan,
        progress=progress,
        watch=watch,
    )
    refuse_total_failure(summary, out_dir)
    if index is not None and not summary.failed:  # what failed may have failed for a reason that is gone next time
        index.enter(key, out_dir)
    return summary


def read_scores(out_dir: str) -> pa.Table:
    """The scores of the pool, one row a video, ordered by video id (`SCORES_SCHEMA`)."""
    return read_parts(out_dir, SCORES_SCHEMA).sort_by("video_id")


class PoolWorker:
    """Loads the detector once, and scores the videos it is given."""

    def __init__(
        self,
        labelled: Mapping[str, Sequence[int]],
        checkpoint_dir: str,
        settings: UncertaintySettings,
        *,
        run_seed: int,
        round_index: int,
        device: str,
        feature_cache: str | None,
        shortcuts: Shortcuts | None,
        autocast: torch.dtype | None,
    ) -> None:
        self._labelled = labelled
        place = choose_device(device)
        if place.type == "cuda":
            # Other algorithms, chosen by speed, give other last digits from one actor to the next.
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        loaded = load_detector(checkpoint_dir, place)
        cache = None if feature_cache is None else FeatureCache(feature_cache, loaded.detector, loaded.spec)
        self._scorer = VideoScorer(
            loaded.detector,
            loaded.spec,
            settings,
            run_seed=run_seed,
            round_index=round_index,
            device=place,
            clips_per_batch=CLIPS_PER_BATCH.get(place.type, 1),
            feature_cache=cache,
            shortcuts=shortcuts,
            autocast=autocast,
        )

    def expect(self, video: Video) -> None:
        """Begins to decode the video that comes next."""
        self._scorer.expect(video)

    def process(self, videos: Sequence[Video]) -> list[dict[str, Any]]:
        """The rows of some videos, in their order."""
        return [self._scorer.score_video(video, self._labelled.get(video.video_id, ())) for video in videos]
