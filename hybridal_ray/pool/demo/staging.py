"""Where everything in a clip is in every frame: camera, limbs, tubes and boxes. Nothing is drawn here.

Positions are pixels of the frame. Every random number comes from the generator of the clip.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from hybridal_ray.pool.demo.actions import ACTIONS, CLASSES, stand
from hybridal_ray.pool.demo.difficulty import DemoDifficulty
from hybridal_ray.pool.demo.figures import Floats, Limbs, Pose, limbs_of
from hybridal_ray.pool.demo.sources import CLIP_STREAM, Actor, Source, stream

FRAME_SIZE = 96  # pixels, height and width
FRAME_RATE = 25
FRAMES_A_CLIP = (48, 80)  # least and greatest, both included
_RAMP = 3  # frames in which an action begins or ends
_EDGE = 2.0  # pixels that are left free at the frame's edges, where there is room
_LEAST_ACTION = 26  # frames
_LEAST_VISIBLE = 0.6  # share of a box inside the frame from which on an entering actor counts as present


@dataclass(frozen=True)
class Camera:
    """The way of the camera over the scene, whose middle is (0, 0).

    Attributes:
        centre: (T, 2), the point of the scene, in its pixels, that is in the middle of the frame.
        zoom: (T,), pixels of the frame per pixel of the scene.
    """

    centre: Floats
    zoom: Floats


@dataclass(frozen=True)
class Performance:
    """One figure's clip.

    Attributes:
        limbs: What is to be drawn, in pixels.
        ground: (T, 2), the point on the ground below the figure.
        action: Class name; None for a bystander.
        frames: (F,), the frames of the tube, ascending and without holes; none for a bystander.
        boxes: (F, 4), the annotated boxes x1, y1, x2, y2, inside the frame.
    """

    limbs: Limbs
    ground: Floats
    action: str | None
    frames: np.ndarray
    boxes: Floats


@dataclass(frozen=True)
class Staging:
    """A clip before it is drawn; the performances are in the order of drawing, the nearest last."""

    num_frames: int
    camera: Camera
    performances: tuple[Performance, ...]


@dataclass(frozen=True)
class _Timing:
    """When an actor acts and is there: `strength` (T,) is 0 when idle, `absence` (T,) 1 when out of the frame."""

    strength: Floats
    absence: Floats
    acting: np.ndarray


def stage_clip(source: Source, seed: int, clip: int, difficulty: DemoDifficulty) -> Staging:
    """Lets the cast of a source act once more, at another moment: other phases, places nearby, other lengths."""
    rng = stream(seed, source.index, CLIP_STREAM, clip)
    num_frames = int(rng.integers(FRAMES_A_CLIP[0], FRAMES_A_CLIP[1] + 1))
    camera = _move_camera(rng, source.camera, num_frames, difficulty)
    lanes = [(0.0, FRAME_SIZE)] if len(source.cast) == 1 else [(0, 0.5 * FRAME_SIZE), (0.5 * FRAME_SIZE, FRAME_SIZE)]
    cast = [replace(actor, action=_action_of_clip(rng, actor, difficulty)) for actor in source.cast]
    performances = [_perform(rng, actor, (0.0, FRAME_SIZE), camera, difficulty) for actor in source.bystanders] + [
        _perform(rng, actor, lane, camera, difficulty) for actor, lane in zip(cast, lanes, strict=True)
    ]
    return Staging(num_frames, camera, tuple(performances))


def _action_of_clip(rng: np.random.Generator, actor: Actor, difficulty: DemoDifficulty) -> str | None:
    """The action that is usual in the source, or one drawn anew."""
    if rng.random() < difficulty.usual_action_share:
        return actor.action
    return str(rng.choice(CLASSES, p=[share for _, share in ACTIONS.values()]))


def _perform(
    rng: np.random.Generator,
    actor: Actor,
    lane: tuple[float, float],
    camera: Camera,
    difficulty: DemoDifficulty,
) -> Performance:
    """Poses, places and boxes of one figure that keeps, if it can, to a lane (left, right) of the frame."""
    frames = len(camera.zoom)
    timing = _time(rng, actor, frames, difficulty)
    limbs = limbs_of(actor.body, _pose(rng, actor, timing, difficulty))
    size = (
        FRAME_SIZE
        * actor.height
        * np.exp(rng.normal(0, 0.02) + _wander(rng, frames, difficulty.depth_wander, difficulty))
    )
    way = _wander(rng, frames, difficulty.actor_wander, difficulty) * size
    if actor.action == "walk":
        way = way + actor.facing * rng.uniform(0.10, 0.35) * np.arange(frames)
    root = camera.zoom[:, None] * (np.stack([way, np.zeros(frames)], axis=1) - camera.centre)
    scale = (size * camera.zoom)[:, None, None] * np.array([actor.facing, 1.0])
    placed = _scaled(limbs, scale, root)
    place = np.clip(actor.place + rng.normal(0, 0.12), 0, 1), rng.uniform(0.6, 1.0)
    shift = np.tile(_into_lane(placed.tight_boxes(), lane, place), (frames, 1))
    side = -1 if sum(lane) < FRAME_SIZE or (sum(lane) == FRAME_SIZE and actor.facing > 0) else 1
    shift[:, 0] += side * timing.absence * FRAME_SIZE
    placed = _scaled(placed, np.ones((frames, 1, 1)), shift)
    shown, boxes = _annotate(rng, placed.tight_boxes(), timing.acting, difficulty)
    return Performance(placed, root + shift, actor.action, shown, boxes)


def _scaled(limbs: Limbs, scale: Floats, shift: Floats) -> Limbs:
    """Limbs times `scale` (T, 1, 1 or 2), moved by `shift` (T, 2)."""
    return Limbs(
        starts=limbs.starts * scale + shift[:, None],
        ends=limbs.ends * scale + shift[:, None],
        radii=limbs.radii * np.abs(scale[:, :, 0]),
        colours=limbs.colours,
    )


def _into_lane(boxes: Floats, lane: tuple[float, float], place: tuple[float, float]) -> Floats:
    """The shift (2,) that brings all boxes (T, 4) into a lane, at the given place of the room that is left."""
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    start = np.array([lane[0] + _EDGE, _EDGE])
    room = np.array([lane[1] - _EDGE, FRAME_SIZE - _EDGE]) - start - (high - low)
    return start - low + np.where(room > 0, room * np.array(place), room / 2)


def _pose(rng: np.random.Generator, actor: Actor, timing: _Timing, difficulty: DemoDifficulty) -> Pose:
    """The actor's poses: the action where it acts, standing elsewhere; the pace varies by a few per cent."""
    frames = len(timing.strength)
    standing = stand(actor.carriage, _wander(rng, frames, 0.006, difficulty))
    if actor.action is None:
        return standing
    act, _ = ACTIONS[actor.action]
    pace = 1 + _wander(rng, frames, 0.05, difficulty)
    turns = np.cumsum(pace) / actor.period
    begins = int(timing.acting[0])
    # An action that begins in view begins where its pose is the standing one.
    turns = turns - turns[begins] + (0.0 if begins else rng.random())
    strength = timing.strength * rng.uniform(*difficulty.action_strength)
    return act(standing, 2 * np.pi * turns, strength)


def _time(rng: np.random.Generator, actor: Actor, frames: int, difficulty: DemoDifficulty) -> _Timing:
    """Draws when the actor acts, and whether it comes late or leaves early."""
    start, end = 0, frames
    absence = np.zeros(frames)
    kind = rng.random() if actor.action else 1.0
    when = np.arange(frames)
    if kind < difficulty.idle_share:
        spare = frames - _LEAST_ACTION
        before, after = rng.integers(6, 21, 2) * ((1, 0), (0, 1), (1, 1))[rng.integers(3)]
        start = min(int(before), spare // 2)
        end = frames - min(int(after), spare // 2)
    elif kind < difficulty.idle_share + difficulty.entrance_share:
        arrival, duration = rng.integers(8, 20), rng.integers(9, 15)
        missing = np.clip((arrival - when) / duration, 0.0, 1.0) ** 1.3
        absence = missing if rng.random() < 0.5 else missing[::-1]
    ramp = np.minimum((when - start + 1) / _RAMP if start else 1.0, (end - when) / _RAMP if end < frames else 1.0)
    strength = np.clip(ramp * np.ones(frames), 0.0, 1.0) if actor.action else np.zeros(frames)
    return _Timing(strength, absence, np.arange(start, end if actor.action else start))


def _annotate(
    rng: np.random.Generator, tight: Floats, acting: np.ndarray, difficulty: DemoDifficulty
) -> tuple[np.ndarray, Floats]:
    """The frames in which the actor acts and is mostly in view, and the boxes that an annotator draws there.

    An annotator's error is correlated in time: each edge follows an autoregressive process of the first order.
    """
    memory, frames = difficulty.jitter_memory, len(tight)
    error = rng.normal(0, 1, (frames, 4))
    for frame in range(1, frames):
        error[frame] = memory * error[frame - 1] + np.sqrt(1 - memory**2) * error[frame]
    reach = 2 * difficulty.swing_reach + 1
    swung = np.concatenate(
        [minimum_filter1d(tight[:, :2], reach, axis=0), maximum_filter1d(tight[:, 2:], reach, axis=0)], axis=1
    )
    calm = tight + difficulty.swing_room * (swung - tight)
    size = np.tile(tight[:, 2:] - tight[:, :2], 2)
    drawn = calm + difficulty.box_margin * np.array([-1, -1, 1, 1]) + difficulty.box_jitter * size * error
    inside = np.clip(drawn, 0, FRAME_SIZE)
    visible = np.prod(inside[:, 2:] - inside[:, :2], axis=1) / np.prod(drawn[:, 2:] - drawn[:, :2], axis=1)
    shown = acting[visible[acting] >= _LEAST_VISIBLE]
    return shown, inside[shown]


def _move_camera(rng: np.random.Generator, kind: str, frames: int, difficulty: DemoDifficulty) -> Camera:
    centre = np.tile(rng.uniform(-6, 6, 2) * [1.0, 0.4], (frames, 1))
    zoom = np.full(frames, rng.uniform(0.97, 1.03))
    if kind == "hand-held":
        drift = difficulty.camera_wander
        centre += np.stack([_wander(rng, frames, drift, difficulty), _wander(rng, frames, 0.6 * drift, difficulty)], 1)
    progress = np.linspace(-0.5, 0.5, frames)
    direction = rng.choice([-1.0, 1.0])
    if kind == "panning":
        centre[:, 0] += direction * rng.uniform(6, 16) * progress
    if kind == "zooming":
        zoom = zoom * np.exp(direction * rng.uniform(0.08, 0.20) * progress)
    return Camera(centre, zoom)


def _wander(rng: np.random.Generator, frames: int, deviation: float, difficulty: DemoDifficulty) -> Floats:
    """Slow irregular drift (T,) of the given standard deviation: four sine waves of random period and phase."""
    waves = 4
    rate = 1 / rng.uniform(*difficulty.wander_period, waves)
    phase = rng.uniform(0, 1, waves)
    angle = 2 * np.pi * (np.arange(frames)[:, None] * rate + phase)
    return deviation * np.sqrt(2 / waves) * np.sin(angle).sum(axis=1)
