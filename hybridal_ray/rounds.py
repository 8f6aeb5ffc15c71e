"""The stages of a round: each takes its values out of the configuration, does its work once, and is marked as done.

Stages take plain values and meet in the run directory; the configuration goes no further than this file.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from hybridal_ray.config import Config
from hybridal_ray.config_values import (
    actor_plan,
    detector_spec,
    feature_cache,
    held_out,
    plain,
    score_index,
    scoring_arithmetic,
    uncertainty_settings,
)
from hybridal_ray.detectors.checkpoint import load_detector
from hybridal_ray.evaluation.detecting import DetectionSettings
from hybridal_ray.evaluation.evaluator import evaluate_checkpoint
from hybridal_ray.labelling import END_AND_WAIT, Patience, expected_cost, goes_unmeasured, label_purchase
from hybridal_ray.oracles.own_labels import begin_with_own_labels, own_labels
from hybridal_ray.pool import ledger, storage
from hybridal_ray.pool.tables import Pool
from hybridal_ray.run_budget import RunBudget
from hybridal_ray.run_end import VALIDATION, decide_end, mean_uncertainty, validates_apart
from hybridal_ray.run_store import RunStore
from hybridal_ray.scoring.pool_part import seeded_part
from hybridal_ray.scoring.pool_scorer import score_pool
from hybridal_ray.scoring.shortcuts import Shortcuts
from hybridal_ray.selection.request import Selection, SelectionRequest, measure_of
from hybridal_ray.selection.score_batches import ScoreBatches, ScoreParts
from hybridal_ray.selection.selector import select
from hybridal_ray.selection.strategies import build_strategy
from hybridal_ray.start_scores import start_scores
from hybridal_ray.stopping.end_file import keep_end, read_end
from hybridal_ray.tracking.mlflow_sync import RunStatus, sync_run
from hybridal_ray.tracking.round_report import render_round
from hybridal_ray.training.seeding import pretrained_weights
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings, SamplingSettings
from hybridal_ray.training.trainer import Workers, epoch_line, train_round
from hybridal_ray.video_rows import VideoRows

Say = Callable[[str], None]
START = None  # the purchase before the first round
SECONDS_BETWEEN_NEWS = 15.0  # of a pass over videos


@dataclass
class Rounds:
    """The stages of a run, each skipped when it is done, and marked when it ends.

    Attributes:
        config: The run.
        pool: Its pool.
        store: Its directory.
        say: Takes a line of progress.
        patience: What to do while people have not answered.
    """

    config: Config
    pool: Pool
    store: RunStore
    say: Say
    patience: Patience = END_AND_WAIT

    def __post_init__(self) -> None:
        self.videos = VideoRows.usable(self.pool.videos, "train", self.pool.root)

    def buy_first_labels(self) -> None:
        """Picks and labels what the first round is trained on: random videos and frames, unless told otherwise.

        Labels that the pool has already take their place where the configuration says so.
        """
        if self.config.oracle.start_from_pool:
            self._stage(START, "select", lambda: {"frames": len(own_labels(self.pool, self.videos))})
            self._stage(START, "label", lambda: begin_with_own_labels(self.store.root, self.pool, self.videos))
            return
        budget = self.config.budget
        videos = len(self.videos) if budget.start_videos == "all" else budget.start_videos
        longest = max(video.num_frames for video in self.videos)
        frames = longest if budget.start_frames_per_video == "all" else budget.start_frames_per_video

        def pick() -> dict[str, Any]:
            name, options = self.config.selection.start_strategy, self.config.selection.start_options
            directory, classes = self.store.round_directory(START), len(self.pool.classes)
            scores = start_scores(self.config, self.videos, classes, directory, self.say)
            request = self._request(START, videos, frames, scores=scores, centres=None)
            return self._keep(START, select(name, options, request, in_process=True))

        self._stage(START, "select", pick)
        self.label(START)

    def train(self, round_index: int) -> None:
        """Trains the round's detector on every label bought so far."""
        config, training = self.config, self.config.training
        out_dir = self._directory(round_index, "train")

        def work() -> dict[str, Any]:
            summary = train_round(
                spec=detector_spec(config, len(self.pool.classes)),
                videos=self.videos,
                labels=self._labels(round_index),
                out_dir=out_dir,
                loss=plain(LossSettings, training.loss),
                clustering=plain(ClusteringSettings, config.clustering),
                optimiser=plain(OptimiserSettings, training),
                sampling=plain(SamplingSettings, training),
                held_out=held_out(config, self.pool),
                seed=config.seed,
                round_index=round_index,
                initial_weights=self._initial_weights(round_index),
                workers=plain(Workers, training, device=config.device),
                pool_root=self.pool.root,
                progress=lambda metrics: self.say(epoch_line(metrics)),
            )
            return {"epochs": summary.epochs, "best_epoch": summary.best_epoch, "loss": summary.loss}

        self._stage(round_index, "train", work)

    def evaluate(self, round_index: int) -> None:
        """Measures the round's detector on the evaluation split, on the same kind of actors as scoring."""
        self._measure(round_index, "evaluate", self.config.evaluation.split)

    def validate(self, round_index: int) -> None:
        """Measures it on the validation split too, where a stopping criterion asks for that."""
        if validates_apart(self.config):
            self._measure(round_index, "validate", VALIDATION)

    def _measure(self, round_index: int, name: str, split: str) -> None:
        config = self.config
        videos = self.pool.usable_videos(split)
        ids = [video.video_id for video in videos]
        if goes_unmeasured(config, self.pool, split):
            self._stage(round_index, name, lambda: self._not_measured(round_index, name, split))
            return
        tell = self._now_and_then(f"round {round_index}: {name}")

        def work() -> dict[str, Any]:
            metrics = evaluate_checkpoint(
                videos,
                self.pool.tubes_of(ids),
                self.pool.classes,
                self._checkpoint(round_index),
                self._directory(round_index, name),
                settings=plain(DetectionSettings, config.evaluation),
                plan=actor_plan(config),
                feature_cache=feature_cache(config),
                resamples=config.evaluation.resamples,
                labelled=self.pool.labelled_frames_of(ids),
                progress=lambda done, total: tell(f"{done} of {total} videos"),
            )
            return {name: value for name, value in metrics.items() if isinstance(value, float) and "/" not in name}

        self._stage(round_index, name, work)

    def _not_measured(self, round_index: int, name: str, split: str) -> dict[str, Any]:
        reason = f"no video of split {split!r} is labelled"
        self.say(f"round {round_index}: {name} is skipped: {reason}")
        storage.write_json(self._directory(round_index, f"{name}/metrics.json"), {})
        return {"skipped": reason}

    def score(self, round_index: int) -> None:
        """Scores every video of the training split by Monte Carlo Dropout; labelled ones for their latents."""
        config = self.config

        def work() -> dict[str, Any]:
            strategy = build_strategy(config.selection.strategy, config.selection.options)
            if not strategy.needs_scores:
                return {"videos": 0, "failed": {}, "skipped": f"{config.selection.strategy} needs no scores"}
            scoring, tell = config.scoring, self._now_and_then(f"round {round_index}: score")
            summary = score_pool(
                seeded_part(self.videos, scoring.pool_fraction, run_seed=config.seed, round_index=round_index),
                ledger.labelled_frames(self._labels(round_index)),
                self._checkpoint(round_index),
                self._directory(round_index, "scores"),
                settings=uncertainty_settings(config, measure_of(strategy)),
                shortcuts=plain(Shortcuts, scoring),
                autocast=scoring_arithmetic(config),
                run_seed=config.seed,
                round_index=round_index,
                plan=actor_plan(config),
                feature_cache=feature_cache(config),
                score_index=score_index(config),
                watch=lambda progress: tell(progress.line()),
            )
            for video_id, reason in summary.failed.items():
                self.say(f"round {round_index}: {video_id} could not be scored: {reason}")
            return {
                "videos": summary.videos,
                "failed": summary.failed,
                "actor_restarts": summary.actor_restarts,
                "mean_uncertainty": mean_uncertainty(self._directory(round_index, "scores")),
            }

        self._stage(round_index, "score", work)

    def select(self, round_index: int) -> None:
        """Picks what to label next."""
        config, budget = self.config, self.config.budget

        def work() -> dict[str, Any]:
            request = self._request(
                round_index,
                budget.videos_per_round,
                budget.frames_per_video,
                scores=ScoreParts(self._directory(round_index, "scores")),
                centres=load_detector(self._checkpoint(round_index)).centres,
            )
            selection = select(
                config.selection.strategy, config.selection.options, request, in_process=not config.scoring.actors
            )
            return self._keep(round_index, selection)

        # A budget that was raised since may buy what the former one could not.
        self._stage(round_index, "select", work, anew=self._picked_nothing(round_index))

    def label(self, round_index: int | None) -> None:
        """Has the picked frames labelled, for the training of the next round.

        Raises:
            StillWaiting: People have to answer first.
        """

        def work() -> dict[str, Any]:
            truth = self.pool.tubes_of([video.video_id for video in self.videos])
            return label_purchase(self.config, self.pool, self.store, self.say, self.patience, round_index, truth)

        self._stage(round_index, "label", work)

    def is_last(self, round_index: int) -> bool:
        """Whether a stopping criterion ends the run here; not asked once the round's labels have been bought."""
        if round_index + 1 < self.config.rounds and self.store.stage(round_index, "label").done:
            return False
        end = decide_end(self.config, self.store, round_index)
        if end is not None and end != read_end(self.store.root):
            self.say(f"round {round_index}: the run ends here, by {end.criterion}: {end.reason}")
        keep_end(self.store.root, end)
        return end is not None

    def track(self, round_index: int) -> None:
        """Draws the round's figures and sends the round to MLflow; neither can fail the round."""
        if self.config.tracking.figures:
            render_round(self.store.root, round_index, self.pool)
        self.sync("RUNNING")

    def sync(self, status: RunStatus) -> None:
        """Sends to MLflow what it has not got; what fails is sent with the next round."""
        error = sync_tracking(self.config, self.pool, status)
        if error is not None:
            self.say(f"tracking: {error}; nothing is lost, the run directory has it all and it is sent later")

    def _picked_nothing(self, round_index: int) -> bool:
        stage = self.store.stage(round_index, "select")
        return stage.done and stage.summary()["frames"] == 0

    def _stage(
        self, round_index: int | None, name: str, work: Callable[[], Mapping[str, Any]], *, anew: bool = False
    ) -> None:
        stage = self.store.stage(round_index, name)
        where = "start" if round_index is None else f"round {round_index}"
        if stage.done and not anew:
            self.say(f"{where}: {name} is done already")
            return
        self.say(f"{where}: {name} …")
        started = time.perf_counter()
        summary = work()
        seconds = time.perf_counter() - started
        stage.finish({**summary, "seconds": seconds})
        told = ", ".join(f"{key} {_brief(value)}" for key, value in summary.items() if isinstance(value, int | float))
        self.say(f"{where}: {name} took {seconds:.1f} s{': ' if told else ''}{told}")

    def _request(
        self,
        round_index: int | None,
        num_videos: int,
        frames_per_video: int,
        *,
        scores: ScoreBatches | None,
        centres: Any,
    ) -> SelectionRequest:
        budget, labels = self.config.budget, self._labels(round_index)
        labelled = ledger.labelled_frames(labels)
        left = [budget.max_frames_per_round] if round_index is not None else []
        left.append(plain(RunBudget, budget).frames_left(labels))
        return SelectionRequest(
            videos=self.videos,
            labelled=labelled,
            scores=scores,
            centres=centres,
            num_videos=num_videos,
            frames_per_video=frames_per_video,
            max_frames=min((bound for bound in left if bound is not None), default=None),
            revisit_fraction=0.0 if round_index is None else budget.revisit_fraction,
            seed=self.config.seed * 1000 + (0 if round_index is None else round_index + 1),
            memory_mib=self.config.selection.memory_mib,
            clusters_to=self._directory(round_index, "clusters.parquet"),
            round_index=round_index,
        )

    def _keep(self, round_index: int | None, selection: Selection) -> dict[str, Any]:
        config, labels = self.config, self._labels(round_index)
        selection, bounded_by = plain(RunBudget, config.budget).cut(selection, labels, expected_cost(config, labels))
        storage.write_table(self._directory(round_index, "selection.parquet"), selection.picks)
        videos = len(selection.picks["video_id"].unique())
        return {"videos": videos, "frames": len(selection.picks), "bounded_by": bounded_by}

    def _labels(self, round_index: int | None) -> pa.Table:
        """The labels that a round may know: those bought for it and before it, none at the start."""
        bought = ledger.read(self.store.root)
        return bought.filter(pc.field("round") <= (-1 if round_index is None else round_index))

    def _initial_weights(self, round_index: int) -> dict[str, Tensor] | None:
        """Of the last round where training starts warm, of the pretrained encoder else; None is fresh weights."""
        config = self.config
        if config.training.warm_start and round_index:
            return load_detector(self._checkpoint(round_index - 1)).detector.state_dict()
        if config.detector.pretrained is None:
            return None
        weights, told = pretrained_weights(
            detector_spec(config, len(self.pool.classes)),
            config.locate(config.detector.pretrained),
            allow_partial=config.detector.allow_partial,
            seed=config.seed,
        )
        self.say(told)
        return weights

    def _directory(self, round_index: int | None, name: str) -> str:
        return storage.join(self.store.round_directory(round_index), name)

    def _checkpoint(self, round_index: int) -> str:
        return self._directory(round_index, "train/checkpoint")

    def _now_and_then(self, stage: str) -> Say:
        """Says how far a pass over videos is, but not each time it is told."""
        told = time.perf_counter()

        def tell(line: str) -> None:
            nonlocal told
            if time.perf_counter() - told > SECONDS_BETWEEN_NEWS:
                told = time.perf_counter()
                self.say(f"{stage} … {line}")

        return tell


def _brief(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def sync_tracking(config: Config, pool: Pool, status: RunStatus) -> str | None:
    """Sends a run to MLflow as its configuration says.

    Args:
        config: The run.
        pool: Its pool.
        status: Of the run.

    Returns:
        Why it could not be sent, None when it was, or when tracking is switched off.
    """
    uri = config.tracking_uri
    if uri is None:
        return None
    run_root = config.locate(config.run)
    return sync_run(
        run_root,
        pool,
        tracking_uri=uri,
        experiment=config.tracking.experiment,
        run_name=run_root.rstrip("/").rsplit("/", 1)[-1],
        artifact_root=config.locate("mlartifacts") if uri.startswith("sqlite:") else None,
        model_name=config.tracking.model_name,
        status=status,
    ).error
