"""A detector with all that changes while it is trained: its weights, their average, the optimiser and the centres."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.interface import ClassConditioned, DetectorOutput, encoder_of, normalise
from hybridal_ray.errors import UserError
from hybridal_ray.training.batches import TrainingBatch
from hybridal_ray.training.colour import jitter_colours
from hybridal_ray.training.cropping import crop_clips
from hybridal_ray.training.losses.actor_class import clip_classes
from hybridal_ray.training.losses.deep_clustering import update_centres
from hybridal_ray.training.memory import telling_what_to_lower
from hybridal_ray.training.objective import batch_loss
from hybridal_ray.training.optimisation import (
    arithmetic,
    average_weights,
    build_optimiser,
    channels_last,
    true_gradients,
)
from hybridal_ray.training.task import Session, State, TrainingTask


class Learner:
    """See the module's docstring.

    Attributes:
        detector: The module itself, on the session's device.
        model: The same as it is called: compiled, its gradients averaged over the workers.
        centres: (K, D), of deep clustering, or None before they start.
        counts: (K,), latents that each centre has seen.
        skipped: Steps so far that were not taken because a gradient was not finite.

    Args:
        task: What is to be trained; `initial_weights` are loaded.
        session: What surrounds this worker.

    Raises:
        UserError: The detector cannot be built, or has no encoder to freeze.
    """

    def __init__(self, task: TrainingTask, session: Session) -> None:
        settings = task.optimiser
        self.task = task
        self.device = session.device
        self.detector = build_detector(task.spec)
        if task.initial_weights is not None:
            self.detector.load_state_dict(task.initial_weights)
        self._frozen = self._freeze() if settings.freeze_encoder else None
        if settings.channels_last:
            channels_last(self.detector)
        self.model = session.wrap(self.detector)
        if settings.compile:
            self.model.compile()
        self.averaged = average_weights(self.detector, settings.average) if settings.average else None
        trained = [parameter for parameter in self.detector.parameters() if parameter.requires_grad]
        self.optimiser = build_optimiser(trained, settings)
        self.precision = arithmetic(settings.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision is torch.float16)
        self.skipped = 0
        self.centres: Tensor | None = None
        self.counts: Tensor | None = None

    @property
    def evaluated(self) -> nn.Module:
        """The detector that the training so far leaves: the averaged one where there is an average."""
        return self.detector if self.averaged is None else self.averaged.module

    def train_mode(self) -> None:
        """Switches dropout and batch statistics on, except in a frozen encoder."""
        self.model.train()
        if self._frozen is not None:
            self._frozen.eval()

    def step(self, batches: Sequence[TrainingBatch], rate: float, progress: float) -> dict[str, Tensor]:
        """One step of the optimiser.

        Args:
            batches: This worker's share of the batch, in the parts that are run one after the other.
            rate: Learning rate.
            progress: Share of the training that is done, in [0, 1].

        Returns:
            The terms of the loss, each the mean over the share.

        Raises:
            UserError: A part does not fit the GPU.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        statistics = [buffer.clone() for buffer in self.detector.buffers()]
        sums: dict[str, Tensor] = {}
        latents = []
        for index, batch in enumerate(batches):
            last = index == len(batches) - 1
            with self._gradients_kept_here(not last), telling_what_to_lower(self.device, self.task.spec, len(batch)):
                terms, of_batch = self._forward(batch.to(self.device), progress)
                with true_gradients(self.detector, self.precision, self.device):
                    self.scaler.scale(terms["loss"] / len(batches)).backward()
            latents.append(of_batch)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.detach().double() / len(batches)
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.detector.parameters(), self.task.optimiser.clip_norm)
        if bool(norm.isfinite()):
            self.scaler.step(self.optimiser)
        else:  # one such step would leave no weight, and no statistic of a normalisation, a number
            self.skipped += 1
            for buffer, before in zip(self.detector.buffers(), statistics, strict=True):
                buffer.copy_(before)
        self.scaler.update()
        if self.averaged is not None:
            self.averaged.update_parameters(self.detector)
        if self.centres is not None and self.counts is not None:
            self.centres, self.counts = update_centres(self.centres, self.counts, torch.cat(latents))
        return sums

    def drawn_classes(self, instances: Tensor, weights: Tensor, actor_classes: Tensor) -> Tensor | None:
        """What a detector that draws one class is told, see `clip_classes`; None for all others."""
        told = isinstance(self.detector, ClassConditioned)
        return clip_classes(instances, weights, actor_classes) if told else None

    def predict(self, model: nn.Module, clips: Tensor, classes: Tensor | None) -> DetectorOutput:
        """Runs a model on clips in the training's precision.

        Args:
            model: `model` or `evaluated`.
            clips: (N, 3, T, H, W), in [-1, 1].
            classes: From `drawn_classes`.
        """
        if self.task.optimiser.channels_last:
            clips = clips.contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
            return model(clips, classes) if isinstance(self.detector, ClassConditioned) else model(clips)

    def state(self) -> State:
        """All of it, to go on from."""
        return {
            "weights": self.detector.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "centres": self.centres,
            "counts": self.counts,
        }

    def restore(self, state: State) -> None:
        """Goes on from what `state` returned."""
        self.detector.load_state_dict(state["weights"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        if state["scaler"]:  # none where the training began in another precision
            self.scaler.load_state_dict(state["scaler"])
        if state["centres"] is not None:
            self.centres, self.counts = state["centres"].to(self.device), state["counts"].to(self.device)

    def _freeze(self) -> nn.Module:
        encoder = encoder_of(self.detector)
        if encoder is None:
            raise UserError(
                f"training.freeze_encoder: the detector {self.task.spec.name!r} keeps no module named encoder"
            )
        return encoder.requires_grad_(False)

    def _gradients_kept_here(self, kept: bool) -> AbstractContextManager[None]:
        """Leaves the averaging over the workers to the last part of a step."""
        return self.model.no_sync() if kept and isinstance(self.model, DistributedDataParallel) else nullcontext()

    def _forward(self, batch: TrainingBatch, progress: float) -> tuple[dict[str, Tensor], Tensor]:
        """The terms of the loss on one part, and its latents (N, D)."""
        clips, instances, weights = normalise(batch.frames), batch.instances, batch.weights
        if batch.crops is not None:
            clips, instances, weights = crop_clips(clips, instances, weights, batch.crops)
        clips = jitter_colours(clips, self.task.sampling.colour)
        output = self.predict(self.model, clips, self.drawn_classes(instances, weights, batch.actor_classes))
        terms = batch_loss(
            output,
            instances,
            weights,
            batch.actor_classes,
            settings=self.task.loss,
            progress=progress,
            centres=self.centres,
            beta=self.task.clustering.beta,
        )
        return terms, output.latent.detach()
