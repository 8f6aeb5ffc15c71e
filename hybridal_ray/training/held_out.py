"""Which labelled videos are kept out of training, to choose the best epoch by; the test split plays no part in it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from hybridal_ray.errors import UserError
from hybridal_ray.pool.ledger import VideoLabels, labels_by_video
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.task import LabelledVideos


@dataclass(frozen=True)
class HeldOut:
    """What the best epoch is chosen by.

    Attributes:
        fraction: Of the labelled groups, held out of training, in (0, 1).
        given: Videos of their own and their labels (`LABELS_SCHEMA`), which are measured instead.
        patience: Epochs without a better one after which training ends; None trains all of them.
    """

    fraction: float = 0.1
    given: tuple[Sequence[Video], pa.Table] | None = None
    patience: int | None = None


def divide_labels(
    videos: Sequence[Video], by_video: Mapping[str, VideoLabels], held_out: HeldOut | None, seed: int
) -> tuple[LabelledVideos, LabelledVideos | None]:
    """What is trained on, and what the best epoch is chosen by.

    Args:
        videos: Videos of the training split; those without labels are left out.
        by_video: The labels of the run.
        held_out: How the best epoch is chosen; None divides nothing.
        seed: Of the run.

    Raises:
        UserError: Nothing would be left on one of the sides.
    """
    labelled = _labelled(videos, by_video)
    if held_out is None:
        return labelled, None
    if held_out.given is None:
        return hold_out(labelled, held_out.fraction, seed)
    given = _labelled(held_out.given[0], labels_by_video(held_out.given[1]))
    if not given.videos:
        raise UserError("training.validation.source: no video of the split val has labels, expected at least one")
    return labelled, given


def hold_out(labelled: LabelledVideos, fraction: float, seed: int) -> tuple[LabelledVideos, LabelledVideos]:
    """Divides the labelled videos, whole groups at a time, into those trained on and those held out.

    Where a group falls depends on its name and the seed alone, so that a video that is held out in one round is not
    trained on in a later one; only while no group falls on the side held out, the nearest to it is taken.

    Args:
        labelled: All labelled videos.
        fraction: Of the groups that is held out, in (0, 1), on the average.
        seed: Of the run.

    Returns:
        The videos to train on and those held out, both in their order.

    Raises:
        UserError: There is but one group, so that one side would be empty.
    """
    places = {video.group: _place(seed, video.group) for video in labelled.videos}
    if len(places) < 2:
        raise UserError(
            f"training.validation.source: the labelled videos are of {len(places)} group, expected at least two, "
            "to hold one out for validation"
        )
    ordered = sorted(places, key=lambda group: places[group])
    below = sum(place < fraction for place in places.values())
    held_out = set(ordered[: min(max(below, 1), len(ordered) - 1)])
    sides: tuple[list[int], list[int]] = ([], [])
    for index, video in enumerate(labelled.videos):
        sides[video.group in held_out].append(index)
    trained, validated = (
        LabelledVideos([labelled.videos[i] for i in side], [labelled.labels[i] for i in side]) for side in sides
    )
    return trained, validated


def _labelled(videos: Sequence[Video], by_video: Mapping[str, VideoLabels]) -> LabelledVideos:
    labelled = [video for video in videos if video.video_id in by_video]
    return LabelledVideos(labelled, [by_video[video.video_id] for video in labelled])


def _place(seed: int, group: str) -> float:
    """A group's place in [0, 1), the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{group}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
