"""The sources that the clips of the demo pool are cut from, and which clips are cut.

Scene, leading action (what its first actor usually does), number of actors and number of clips of a source follow
a low-discrepancy sequence, so that any number of sources holds them nearly in the wanted shares. All else of a
source is drawn from a generator seeded by (seed, source), and all of a clip by (seed, source, clip): no source
depends on how many there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hybridal_ray.errors import UserError
from hybridal_ray.pool.demo.actions import ACTIONS, CLASSES, Carriage, random_carriage
from hybridal_ray.pool.demo.difficulty import DemoDifficulty
from hybridal_ray.pool.demo.figures import Body, Floats, random_body

SCENES: dict[str, float] = {
    "plain": 0.45,
    "textured": 0.25,
    "cluttered": 0.15,
    "dark": 0.09,
    "crowded": 0.06,
}
"""Share of the sources, by kind of scene: a long tail."""

CAMERAS: dict[str, float] = {"still": 0.35, "hand-held": 0.35, "panning": 0.15, "zooming": 0.15}
CLIPS_A_SOURCE: dict[int, float] = {4: 0.45, 5: 0.30, 6: 0.15, 7: 0.06, 8: 0.04}
_TEST_SHARE = 0.28  # of the sources
MIN_VIDEOS = 8  # two sources: one to train on, one to test on

Key = TypeVar("Key")

SOURCE_STREAM, BACKDROP_STREAM, CLIP_STREAM, NOISE_STREAM = range(4)


@dataclass(frozen=True)
class Actor:
    """One figure of a source, the same in all its clips.

    Attributes:
        body: Proportions and clothes.
        carriage: How it stands, and holds the limbs that an action leaves free.
        action: Class name of what it usually does, or None for a bystander who does nothing.
        height: Standing height, of the frame's height.
        period: Frames that one repetition of the action takes.
        facing: 1 to the right, -1 to the left.
        place: Where in its lane it stands, 0 (left) to 1 (right).
    """

    body: Body
    carriage: Carriage
    action: str | None
    height: float
    period: float
    facing: int
    place: float


@dataclass(frozen=True)
class Source:
    """What all clips of a group share.

    Attributes:
        index: Number of the source.
        scene: Key of `SCENES`.
        camera: Key of `CAMERAS`.
        backdrop: Main RGB colour behind the figures, 0-255.
        cast: The one or two annotated actors, from left to right.
        bystanders: Figures that do nothing.
    """

    index: int
    scene: str
    camera: str
    backdrop: Floats
    cast: tuple[Actor, ...]
    bystanders: tuple[Actor, ...]


@dataclass(frozen=True)
class PlannedClip:
    """One video of the pool to be: the clip-th clip of a source, and the split that the source is in."""

    source: int
    clip: int
    split: str

    @property
    def group(self) -> str:
        """Name of the source; it tells nothing of the scene."""
        return f"source-{self.source:04d}"

    @property
    def video_id(self) -> str:
        """Name of the video."""
        return f"{self.group}-clip-{self.clip}"


def stream(seed: int, source: int, purpose: int, clip: int = 0) -> np.random.Generator:
    """The generator of one purpose (`SOURCE_STREAM` …) of one source or clip, independent of all others."""
    return np.random.default_rng([seed, source, purpose, clip])


def plan_clips(videos: int, seed: int) -> list[PlannedClip]:
    """Which clips of which sources make a pool of so many videos, in the order of their names.

    Sources have 4 to 8 clips, and are in one split as a whole.

    Args:
        videos: Number of clips, at least `MIN_VIDEOS`.
        seed: Seed of the pool.

    Raises:
        UserError: There are too few videos for a training and a test source.
    """
    if videos < MIN_VIDEOS:
        raise UserError(f"videos: {videos} is too few for a demo pool, expected at least {MIN_VIDEOS}")
    sizes: list[int] = []
    while (left := videos - sum(sizes)) >= min(CLIPS_A_SOURCE):
        wanted = _choose(_traits(seed, len(sizes))[3], CLIPS_A_SOURCE)
        sizes.append(min(wanted, max(left - min(CLIPS_A_SOURCE), min(CLIPS_A_SOURCE))))
    for _ in range(left):
        sizes[sizes.index(min(sizes))] += 1
    return [
        PlannedClip(source, clip, split)
        for source, (size, split) in enumerate(zip(sizes, _splits(len(sizes), seed), strict=True))
        for clip in range(size)
    ]


def scene_of(seed: int, source: int) -> str:
    """The kind of scene of a source, which the pool's tables do not hold: a key of `SCENES`."""
    return _choose(_traits(seed, source)[0], SCENES)


def scene_of_group(seed: int, group: str) -> str:
    """The kind of scene of a group as the pool's tables name it, ``source-0012``.

    Raises:
        UserError: The group is not one of a demo pool.
    """
    prefix, _, number = group.rpartition("-")
    if prefix != "source" or not number.isdecimal():
        raise UserError(f"group: {group!r} is not of a demo pool, expected something like 'source-0012'")
    return scene_of(seed, int(number))


def leading_action_of(seed: int, source: int) -> str:
    """What the first actor of a source usually does."""
    shares = {name: share for name, (_, share) in ACTIONS.items()}
    return _choose(_traits(seed, source)[1], shares)


def draw_source(seed: int, index: int, difficulty: DemoDifficulty) -> Source:
    """Draws the scene and the cast of a source."""
    rng = stream(seed, index, SOURCE_STREAM)
    scene = scene_of(seed, index)
    camera = str(rng.choice(list(CAMERAS), p=list(CAMERAS.values())))
    backdrop = _backdrop_colour(rng)
    keeps_contrast = difficulty.contrast if scene in ("plain", "textured", "crowded") else 0.6 * difficulty.contrast
    paired = _traits(seed, index)[2] < difficulty.pair_share
    actions = [leading_action_of(seed, index)]
    heights = difficulty.paired_actor_height if paired else difficulty.actor_height
    if paired:
        actions.append(str(rng.choice(CLASSES, p=[share for _, share in ACTIONS.values()])))
    cast = [_draw_actor(rng, action, heights, backdrop, keeps_contrast, difficulty) for action in actions]
    if paired and rng.random() < 0.5:
        cast.reverse()
    count = rng.integers(difficulty.bystanders[0], difficulty.bystanders[1] + 1) if scene == "crowded" else 0
    bystanders = [
        _draw_actor(rng, None, difficulty.paired_actor_height, backdrop, keeps_contrast, difficulty)
        for _ in range(count)
    ]
    return Source(index, scene, camera, backdrop, tuple(cast), tuple(bystanders))


def _splits(sources: int, seed: int) -> list[str]:
    """The split of each source, decided in their order so that actions and scenes are tested in proportion.

    A source is for testing when its action and its scene together lag behind `_TEST_SHARE` of their sources by
    more than 0.8 of a source: with 49 sources, all were in both splits for each of 20 seeds. A pool so small that
    none lags that far tests on its last source.
    """
    lag: dict[str, float] = dict.fromkeys([*CLASSES, *SCENES], 0.0)
    splits = []
    for source in range(sources):
        action, scene = leading_action_of(seed, source), scene_of(seed, source)
        lag[action] += _TEST_SHARE
        lag[scene] += _TEST_SHARE
        tested = lag[action] + lag[scene] > 0.8
        splits.append("test" if tested else "train")
        lag[action] -= tested
        lag[scene] -= tested
    return splits if "test" in splits else [*splits[:-1], "test"]


def _traits(seed: int, source: int) -> Floats:
    """Four numbers in [0, 1): the source-th point of the Halton sequence, moved by the seed (mod 1)."""
    return (np.random.default_rng(seed).random(4) + [_radical_inverse(source, base) for base in (2, 3, 5, 7)]) % 1.0


def _radical_inverse(number: int, base: int) -> float:
    """The digits of a number in a base, mirrored at the point: van der Corput's sequence."""
    inverse, place = 0.0, 1.0
    while number:
        number, digit = divmod(number, base)
        place /= base
        inverse += digit * place
    return inverse


def _choose(position: float, shares: Mapping[Key, float]) -> Key:
    """The key whose stretch of [0, 1) holds the position."""
    bounds = np.cumsum(list(shares.values()))
    return list(shares)[min(int(np.searchsorted(bounds, position, side="right")), len(shares) - 1)]


def _draw_actor(
    rng: np.random.Generator,
    action: str | None,
    heights: tuple[float, float],
    backdrop: Floats,
    contrast: float,
    difficulty: DemoDifficulty,
) -> Actor:
    shirt, trousers = _clothes_colour(rng, backdrop, contrast), _clothes_colour(rng, backdrop, contrast)
    return Actor(
        body=random_body(rng, shirt, trousers),
        carriage=random_carriage(rng),
        action=action,
        height=rng.uniform(*heights),
        period=rng.uniform(*difficulty.action_period),
        facing=1 if rng.random() < 0.5 else -1,
        place=rng.random(),
    )


def _backdrop_colour(rng: np.random.Generator) -> Floats:
    """A muted colour, light or middling: clothes are stronger."""
    grey = rng.uniform(95, 205)
    return np.clip(grey + rng.normal(0, 18, 3), 60, 225)


def _clothes_colour(rng: np.random.Generator, backdrop: Floats, contrast: float) -> Floats:
    """A strong colour at least so far from the backdrop; the farthest of 40 when none is."""
    hue, value = rng.uniform(0, 1, 40), rng.uniform(0.15, 1.0, 40)
    saturation = rng.uniform(0.35, 1.0, 40)
    ramp = np.abs((hue[:, None] + np.array([0.0, 2 / 3, 1 / 3])) % 1.0 * 6 - 3) - 1
    colours = 255 * value[:, None] * (1 - saturation[:, None] * (1 - np.clip(ramp, 0, 1)))
    distance = np.linalg.norm(colours - backdrop, axis=1)
    far_enough = np.flatnonzero(distance >= contrast)
    return colours[far_enough[0] if len(far_enough) else int(distance.argmax())]
