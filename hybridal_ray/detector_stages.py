"""The stages of a round that have to do with its detector: training, evaluation, and scoring the pool with it."""

from typing import Any

from torch import Tensor

from hybridal_ray.config_values import (
    actor_plan,
    detector_spec,
    feature_cache,
    held_out,
    optimiser_settings,
    plain,
    score_index,
    scoring_arithmetic,
    uncertainty_settings,
)
from hybridal_ray.detectors.checkpoint import load_detector
from hybridal_ray.evaluation.detecting import DetectionSettings
from hybridal_ray.evaluation.evaluator import evaluate_checkpoint
from hybridal_ray.evaluation.figures_table import videos_line
from hybridal_ray.labelling import goes_unmeasured
from hybridal_ray.pool import ledger, storage
from hybridal_ray.run_end import VALIDATION, mean_uncertainty, validates_apart
from hybridal_ray.run_stages import RunStages
from hybridal_ray.scoring.pool_part import seeded_part
from hybridal_ray.scoring.pool_scorer import score_pool
from hybridal_ray.scoring.shortcuts import Shortcuts
from hybridal_ray.selection.request import measure_of
from hybridal_ray.selection.strategies import build_strategy
from hybridal_ray.training.first_weights import pretrained_weights
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, SamplingSettings
from hybridal_ray.training.trainer import Workers, epoch_line, forget_epochs, train_round

BUDGET_SPENT = "the budget leaves nothing to buy"


class DetectorStages:
    """See the module's docstring.

    Args:
        run: The run at work.
    """

    def __init__(self, run: RunStages) -> None:
        self._run = run

    def train(self, round_index: int) -> None:
        """Trains the round's detector on every label bought so far."""
        config, training = self._run.config, self._run.config.training
        out_dir = self._run.directory(round_index, "train")

        def work() -> dict[str, Any]:
            labels = self._run.labels(round_index)
            optimiser = optimiser_settings(config, ledger.label_counts(labels))
            summary = train_round(
                spec=detector_spec(config, len(self._run.pool.classes)),
                videos=self._run.videos,
                labels=labels,
                out_dir=out_dir,
                loss=plain(LossSettings, training.loss),
                clustering=plain(ClusteringSettings, config.clustering),
                optimiser=optimiser,
                sampling=plain(SamplingSettings, training),
                held_out=held_out(config, self._run.pool),
                seed=config.seed,
                round_index=round_index,
                initial_weights=self._initial_weights(round_index),
                workers=plain(Workers, training, device=config.device),
                pool_root=self._run.pool.root,
                progress=lambda metrics: self._run.say(epoch_line(metrics)),
            )
            steps = summary.epochs * optimiser.steps_per_epoch
            return {"epochs": summary.epochs, "steps": steps, "best_epoch": summary.best_epoch, "loss": summary.loss}

        self._run.stage(round_index, "train", work)
        forget_epochs(out_dir)

    def evaluate(self, round_index: int) -> None:
        """Measures the round's detector on the evaluation split, on the same kind of actors as scoring."""
        self._measure(round_index, "evaluate", self._run.config.evaluation.split)

    def validate(self, round_index: int) -> None:
        """Measures it on the validation split too, where a stopping criterion asks for that."""
        if validates_apart(self._run.config):
            self._measure(round_index, "validate", VALIDATION)

    def score(self, round_index: int) -> None:
        """Scores every video of the training split by Monte Carlo Dropout; labelled ones for their latents."""
        config, stage = self._run.config, self._run.store.stage(round_index, "score")
        spent = self._run.frames_left(self._run.labels(round_index)) == 0

        def work() -> dict[str, Any]:
            strategy = build_strategy(config.selection.strategy, config.selection.options)
            if not strategy.needs_scores or spent:
                reason = BUDGET_SPENT if strategy.needs_scores else f"{config.selection.strategy} needs no scores"
                return {"videos": 0, "failed": {}, "skipped": reason}
            scoring, tell = config.scoring, self._run.now_and_then(f"round {round_index}: score")
            summary = score_pool(
                seeded_part(self._run.videos, scoring.pool_fraction, run_seed=config.seed, round_index=round_index),
                ledger.answered_frames(self._run.labels(round_index)),
                self._run.checkpoint(round_index),
                self._run.directory(round_index, "scores"),
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
                self._run.say(f"round {round_index}: {video_id} could not be scored: {reason}")
            return {
                "videos": summary.videos,
                "failed": summary.failed,
                "actor_restarts": summary.actor_restarts,
                "mean_uncertainty": mean_uncertainty(self._run.directory(round_index, "scores")),
            }

        # A budget that was raised since may buy by scores that the former one needed none of.
        raised = stage.done and stage.summary().get("skipped") == BUDGET_SPENT and not spent
        self._run.stage(round_index, "score", work, anew=raised)

    def _measure(self, round_index: int, name: str, split: str) -> None:
        config = self._run.config
        videos = self._run.pool.usable_videos(split)
        ids = [video.video_id for video in videos]
        if goes_unmeasured(config, self._run.pool, split):
            self._run.stage(round_index, name, lambda: self._not_measured(round_index, name, split))
            return
        tell = self._run.now_and_then(f"round {round_index}: {name}")

        def work() -> dict[str, Any]:
            metrics = evaluate_checkpoint(
                videos,
                self._run.pool.tubes_of(ids),
                self._run.pool.classes,
                self._run.checkpoint(round_index),
                self._run.directory(round_index, name),
                settings=plain(DetectionSettings, config.evaluation),
                plan=actor_plan(config),
                feature_cache=feature_cache(config),
                resamples=config.evaluation.resamples,
                labelled=self._run.pool.labelled_frames_of(ids),
                progress=lambda done, total: tell(f"{done} of {total} videos"),
            )
            if left_out := self._run.pool.left_out(split):
                self._run.say(f"round {round_index}: {name}: {videos_line(len(videos), split, left_out)}")
            return {name: value for name, value in metrics.items() if isinstance(value, float) and "/" not in name}

        self._run.stage(round_index, name, work)

    def _not_measured(self, round_index: int, name: str, split: str) -> dict[str, Any]:
        reason = f"no video of split {split!r} is labelled"
        self._run.say(f"round {round_index}: {name} is skipped: {reason}")
        storage.write_json(self._run.directory(round_index, f"{name}/metrics.json"), {})
        return {"skipped": reason}

    def _initial_weights(self, round_index: int) -> dict[str, Tensor] | None:
        """Of the last round where training starts warm, of the pretrained encoder else; None is fresh weights."""
        config = self._run.config
        if config.training.warm_start and round_index:
            return load_detector(self._run.checkpoint(round_index - 1)).detector.state_dict()
        if config.detector.pretrained is None:
            return None
        weights, told = pretrained_weights(
            detector_spec(config, len(self._run.pool.classes)),
            config.locate(config.detector.pretrained),
            allow_partial=config.detector.allow_partial,
            seed=config.seed,
        )
        self._run.say(told)
        return weights
