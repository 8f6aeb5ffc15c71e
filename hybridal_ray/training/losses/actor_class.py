"""Loss of the classes: each actor of a clip is classified by the cells that lie under its own mask."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridal_ray.detectors.interface import DetectorOutput
from hybridal_ray.training.losses.spread import margin, spread_loss

ClassLoss = Literal["cross_entropy", "spread"]


@dataclass(frozen=True)
class ActorsOfClips:
    """The actors of N clips, at most M a clip.

    Attributes:
        pixels: (N, T, H, W, M), 1 on the pixels of each actor, 0 elsewhere.
        areas: (N, M), how many these are.
        trust: (N, M), largest φ that one of them has, in [0, 1]: how well the nearest label is known.
        classes: (N, M), class ids.
        present: (N, M), whether there is such an actor in the clip.
    """

    pixels: Tensor
    areas: Tensor
    trust: Tensor
    classes: Tensor
    present: Tensor


def actors_of_clips(instances: Tensor, weights: Tensor, actor_classes: Tensor) -> ActorsOfClips:
    """Tells the actors of each clip apart.

    Args:
        instances: (N, T, H, W), integer; 0 for background, i + 1 on the pixels of actor i.
        weights: φ, (N, T, H, W), in [0, 1].
        actor_classes: (N, M), class ids, −1 where a clip has fewer than M actors.
    """
    numbers = torch.arange(1, actor_classes.shape[1] + 1, dtype=instances.dtype, device=instances.device)
    pixels = (instances.unsqueeze(-1) == numbers).to(weights.dtype)
    areas = pixels.sum(dim=(1, 2, 3))
    trust = (pixels * weights.unsqueeze(-1)).amax(dim=(1, 2, 3))
    return ActorsOfClips(pixels, areas, trust, actor_classes, (trust > 0) & (actor_classes >= 0))


def clip_classes(instances: Tensor, weights: Tensor, actor_classes: Tensor) -> Tensor:
    """The one class of each clip, for detectors that know no more: that of the actor with the largest area.

    Args:
        instances: As in `actors_of_clips`.
        weights: As there.
        actor_classes: As there.

    Returns:
        (N,), int64, −1 where a clip has no actor.
    """
    if actor_classes.shape[1] == 0:
        return torch.full((len(instances),), -1, dtype=torch.int64, device=instances.device)
    return _largest(actors_of_clips(instances, weights, actor_classes))[0]


def actor_class_loss(
    output: DetectorOutput,
    instances: Tensor,
    weights: Tensor,
    actor_classes: Tensor,
    *,
    kind: ClassLoss = "cross_entropy",
    progress: float = 1.0,
) -> Tensor:
    """Loss of each actor's pooled class logits: mean over the actors of a clip, then over the clips.

    An actor counts by its `trust`, and all its pixels alike: φ says how exact a pseudo-label is as a mask, while what
    the actor does is the same on all frames of its track. A detector without class maps is given one class a clip,
    see `clip_classes`.

    Args:
        output: Of the detector.
        instances: As in `actors_of_clips`.
        weights: As there.
        actor_classes: As there.
        kind: ``cross_entropy`` of the logits, or ``spread``, the spread loss of their sigmoids.
        progress: Share of the training that is done, in [0, 1]; decides the margin of the spread loss.

    Returns:
        Scalar; clips without actors add nothing.
    """
    if actor_classes.shape[1] == 0:
        return output.class_scores.sum() * 0.0
    actors = actors_of_clips(instances, weights, actor_classes)
    if output.class_maps is None:
        targets, trust = (of_clip.unsqueeze(1) for of_clip in _largest(actors))
        logits, present = output.class_scores.float().unsqueeze(1), targets >= 0  # (N, 1, C)
    else:
        targets, trust, present = actors.classes, actors.trust, actors.present
        logits = _pooled_logits(output.class_maps.float(), actors)
    flat, known = logits.flatten(0, 1), targets.clamp_min(0).flatten()
    if kind == "spread":
        per_actor = spread_loss(flat.sigmoid(), known, margin(progress))
    else:
        per_actor = F.cross_entropy(flat, known, reduction="none")
    per_actor = per_actor.view(targets.shape) * trust * present
    return (per_actor.sum(dim=1) / present.sum(dim=1).clamp_min(1)).mean()


def _largest(actors: ActorsOfClips) -> tuple[Tensor, Tensor]:
    """Class (N,), −1 where there is none, and trust (N,) of the largest actor of each clip."""
    largest = torch.where(actors.present, actors.areas, -1.0).argmax(dim=1, keepdim=True)
    found = actors.present.any(dim=1)
    classes = torch.where(found, actors.classes.gather(1, largest).squeeze(1), -1)
    return classes, actors.trust.gather(1, largest).squeeze(1)


def _pooled_logits(maps: Tensor, actors: ActorsOfClips) -> Tensor:
    """Class logits (N, M, C) of each actor: the mean over the cells (N, C, T, h, w), each by its share of the actor."""
    cells = (maps.shape[-2], maps.shape[-1])
    of_frames = actors.pixels.permute(0, 1, 4, 2, 3)  # (N, T, M, H, W)
    shares = F.adaptive_avg_pool2d(of_frames.flatten(0, 1), cells).unflatten(0, of_frames.shape[:2])
    pooled = torch.einsum("ntmhw,ncthw->nmc", shares, maps)
    return pooled / shares.sum(dim=(1, 3, 4)).clamp_min(1e-6).unsqueeze(-1)
