"""The six actions of the demo pool, as poses that repeat with a phase.

No single pose gives an action away: squatting and jumping share the bent knees, walking and kicking the leg in
front, and anybody may hold an arm up while doing something else. What tells them apart is how the pose changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hybridal_ray.pool.demo.figures import FAR, NEAR, Floats, Pose

_GROUND_SHARE = 0.45  # of a jump's repetition is spent on the ground, crouching


@dataclass(frozen=True)
class Carriage:
    """How a person holds arms and feet whatever the action: angles as in `Pose`, kept through a clip.

    Attributes:
        name: ``hanging``, ``on hips``, ``forward`` or ``one up``.
        upper_arms: Angles of the far and the near upper arm.
        forearms: Angles of the far and the near forearm.
        stance: x of the far foot, and minus that of the near foot, in body heights.
    """

    name: str
    upper_arms: tuple[float, float]
    forearms: tuple[float, float]
    stance: float


_ARMS = {
    "hanging": ((0.22, -0.22), (0.32, -0.08)),
    "on hips": ((0.75, -0.85), (-0.75, 0.65)),
    "forward": ((1.25, 1.05), (1.75, 1.60)),
    "one up": ((2.45, -0.20), (2.95, -0.05)),
}
_ARM_SHARES = {"hanging": 0.5, "on hips": 0.2, "forward": 0.15, "one up": 0.15}


def random_carriage(rng: np.random.Generator) -> Carriage:
    """Draws how a person holds itself; hanging arms are the most frequent."""
    name = str(rng.choice(list(_ARM_SHARES), p=list(_ARM_SHARES.values())))
    upper, fore = _ARMS[name]
    nudge = rng.normal(0.0, 0.08, 4)
    return Carriage(
        name=name,
        upper_arms=(upper[FAR] + nudge[0], upper[NEAR] + nudge[1]),
        forearms=(fore[FAR] + nudge[2], fore[NEAR] + nudge[3]),
        stance=rng.uniform(0.05, 0.09),
    )


def stand(carriage: Carriage, sway: Floats) -> Pose:
    """Doing nothing: standing, with a slight sway.

    Args:
        carriage: How the person holds itself.
        sway: (T,), shift of the pelvis, in body heights.
    """
    frames = len(sway)
    feet = np.zeros((frames, 2, 2))
    feet[:, FAR, 0], feet[:, NEAR, 0] = carriage.stance, -carriage.stance
    return Pose(
        feet=feet,
        hip_shift=sway,
        hip_drop=np.full(frames, 0.004),
        lift=np.zeros(frames),
        lean=0.8 * sway,
        upper_arms=np.tile(carriage.upper_arms, (frames, 1)) + sway[:, None],
        forearms=np.tile(carriage.forearms, (frames, 1)) + 2 * sway[:, None],
    )


def walk(standing: Pose, phase: Floats, strength: Floats) -> Pose:
    """Legs swing past each other and the arms against them; the way made is the caller's."""
    feet, upper_arms = standing.feet.copy(), standing.upper_arms.copy()
    swing = strength * np.sin(phase)
    for side, sign in ((FAR, 1.0), (NEAR, -1.0)):
        feet[:, side, 0] = (1 - np.minimum(strength, 1)) * feet[:, side, 0] + 0.15 * sign * swing
        feet[:, side, 1] = 0.085 * strength * np.maximum(sign * np.cos(phase), 0.0)
        upper_arms[:, side] -= 0.45 * sign * swing
    forearms = standing.forearms + (upper_arms - standing.upper_arms)
    drop = standing.hip_drop + 0.022 * strength * (1 - np.cos(2 * phase)) / 2
    return replace(standing, feet=feet, hip_drop=drop, upper_arms=upper_arms, forearms=forearms)


def wave(standing: Pose, phase: Floats, strength: Floats) -> Pose:
    """The near arm is raised and its forearm swings; in idle frames the arm is up and still."""
    upper_arms, forearms = standing.upper_arms.copy(), standing.forearms.copy()
    upper_arms[:, NEAR] = -2.15 + 0.30 * strength * np.sin(phase)
    forearms[:, NEAR] = -2.95 + 0.95 * strength * np.sin(phase)
    return replace(standing, upper_arms=upper_arms, forearms=forearms)


def squat(standing: Pose, phase: Floats, strength: Floats) -> Pose:
    """The hips go down and up over feet that stay where they are."""
    depth = strength * (1 - np.cos(phase)) / 2
    return replace(
        standing,
        hip_drop=standing.hip_drop + 0.23 * depth,
        hip_shift=standing.hip_shift - 0.05 * depth,
        lean=standing.lean + 0.40 * depth,
    )


def jump(standing: Pose, phase: Floats, strength: Floats) -> Pose:
    """Crouch, then flight along a parabola, on and on."""
    turn = (phase / (2 * np.pi)) % 1.0
    flight = np.clip((turn - _GROUND_SHARE) / (1 - _GROUND_SHARE), 0.0, 1.0)
    crouch = np.sin(np.pi * np.clip(turn / _GROUND_SHARE, 0.0, 1.0))
    height = 4 * flight * (1 - flight)
    return replace(
        standing,
        hip_drop=standing.hip_drop + strength * (0.12 * crouch + 0.03 * height),
        lean=standing.lean + 0.2 * strength * crouch,
        lift=0.17 * strength * height,
        upper_arms=standing.upper_arms + [0.3, -0.3] * (strength * height)[:, None],
        forearms=standing.forearms + [0.3, -0.3] * (strength * height)[:, None],
    )


def bow(standing: Pose, phase: Floats, strength: Floats) -> Pose:
    """The trunk bends forward and comes back, the legs stay straight."""
    bend = strength * (1 - np.cos(phase)) / 2
    return replace(
        standing,
        lean=standing.lean + 1.05 * bend,
        hip_shift=standing.hip_shift - 0.06 * bend,
        upper_arms=standing.upper_arms + 0.35 * bend[:, None],
        forearms=standing.forearms + 0.45 * bend[:, None],
    )


def kick(standing: Pose, phase: Floats, strength: Floats) -> Pose:
    """The near leg swings to the front, up, and back; the other one stands."""
    reach = strength * ((1 - np.cos(phase)) / 2) ** 1.5
    feet = standing.feet.copy()
    feet[:, NEAR, 0] += 0.42 * reach
    feet[:, NEAR, 1] = 0.26 * reach
    return replace(
        standing,
        feet=feet,
        lean=standing.lean - 0.18 * reach,
        upper_arms=standing.upper_arms + [-0.4, 0.3] * reach[:, None],
        forearms=standing.forearms + [-0.4, 0.3] * reach[:, None],
    )


Action = Callable[[Pose, Floats, Floats], Pose]
"""Takes the standing pose, the phase (T,) in radians and the strength (T,), 0 being idle; gives the acting pose."""

ACTIONS: dict[str, tuple[Action, float]] = {
    "walk": (walk, 0.25),
    "wave": (wave, 0.20),
    "squat": (squat, 0.18),
    "jump": (jump, 0.15),
    "bow": (bow, 0.12),
    "kick": (kick, 0.10),
}
"""Action and share of the sources, by class name; the order is that of the class ids."""

CLASSES: tuple[str, ...] = tuple(ACTIONS)
