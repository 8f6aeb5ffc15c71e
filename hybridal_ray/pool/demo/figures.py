"""Articulated figures: a body, a pose, and the thick limbs that the two make together.

Lengths are in body heights, x to the side the figure faces, y down, the origin on the ground between the feet.
Limb angles are measured from straight down, in radians, positive to the front.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Segments = dict[str, tuple[Floats, Floats, float]]  # start (T, 2), end (T, 2) and half thickness, by part

FAR, NEAR = 0, 1
_STRAIGHT = 0.995  # of a leg's length is the height of the pelvis above the ankles in standing
_ANKLE = 0.025  # height above the ground
_NECK = 0.05
_SHOULDERS = np.array([0.055, -0.055])  # x of the far and the near shoulder: the figure is seen at an angle
_HIPS = np.array([0.035, -0.035])
_OUTLINED_GROUPS = (("far arm", 3), ("far leg", 3), ("near leg", 3), ("trunk", 3), ("head", 3), ("near arm", 3))
PART_GROUPS: tuple[str, ...] = tuple(name for name, parts in _OUTLINED_GROUPS for _ in range(parts))
"""Which group each part belongs to, in the order of drawing; a group has a dark outline of its own."""

_FAR_SHADE = 0.78


@dataclass(frozen=True)
class Body:
    """What one person looks like in every clip.

    Attributes:
        leg: Length of a leg, of the body height.
        arm: Length of an arm.
        head: Radius of the head.
        girth: Thickness of limbs and trunk, 1 is average.
        long_sleeves: Whether the forearms have the colour of the shirt.
        shirt: RGB, 0-255, as are the other colours.
        trousers: RGB.
        skin: RGB.
        hair: RGB.
        shoes: RGB.
    """

    leg: float
    arm: float
    head: float
    girth: float
    long_sleeves: bool
    shirt: Floats
    trousers: Floats
    skin: Floats
    hair: Floats
    shoes: Floats


@dataclass(frozen=True)
class Pose:
    """A body's pose in each of T frames; the second axis of pairs is `FAR`, `NEAR`.

    Attributes:
        feet: (T, 2, 2), x and height above the ground of the ankles, the latter positive upwards.
        hip_shift: (T,), x of the pelvis.
        hip_drop: (T,), how far the pelvis is below its height in standing.
        lift: (T,), how far the whole body is above the ground.
        lean: (T,), angle of the trunk from upright, positive to the front.
        upper_arms: (T, 2), angles.
        forearms: (T, 2), angles.
    """

    feet: Floats
    hip_shift: Floats
    hip_drop: Floats
    lift: Floats
    lean: Floats
    upper_arms: Floats
    forearms: Floats


@dataclass(frozen=True)
class Limbs:
    """The P thick line segments that a figure is drawn of, in T frames, in the order of drawing.

    Attributes:
        starts: (T, P, 2), x and y.
        ends: (T, P, 2).
        radii: (T, P), half the thickness.
        colours: (P, 3), RGB, 0-255.
    """

    starts: Floats
    ends: Floats
    radii: Floats
    colours: Floats

    def tight_boxes(self) -> Floats:
        """The smallest boxes around all limbs, (T, 4): x1, y1, x2, y2."""
        radii = self.radii[..., None]
        low = np.minimum(self.starts, self.ends) - radii
        high = np.maximum(self.starts, self.ends) + radii
        return np.concatenate([low.min(axis=1), high.max(axis=1)], axis=1)


def random_body(rng: np.random.Generator, shirt: Floats, trousers: Floats) -> Body:
    """Draws proportions, skin, hair and shoes; the clothes are given, for they have to suit the scene."""
    skins = np.array([[241, 206, 180], [224, 172, 130], [178, 124, 84], [122, 80, 54]], float)
    hairs = np.array([[40, 30, 26], [92, 58, 32], [196, 158, 90], [120, 120, 124], [150, 62, 34]], float)
    shoes = np.array([[40, 40, 44], [232, 232, 232], [140, 40, 40], [30, 60, 110]], float)
    return Body(
        leg=rng.uniform(0.44, 0.50),
        arm=rng.uniform(0.34, 0.40),
        head=rng.uniform(0.078, 0.095),
        girth=rng.uniform(0.9, 1.25),
        long_sleeves=bool(rng.random() < 0.5),
        shirt=shirt,
        trousers=trousers,
        skin=skins[rng.integers(len(skins))],
        hair=hairs[rng.integers(len(hairs))],
        shoes=shoes[rng.integers(len(shoes))],
    )


def limbs_of(body: Body, pose: Pose) -> Limbs:
    """Sets a body into a pose: arms by forward kinematics, legs bent so that the feet stand where they should.

    Returns:
        Limbs in body heights, facing right.
    """
    frames = len(pose.lean)
    hip_height = _STRAIGHT * body.leg + _ANKLE
    pelvis = np.stack([pose.hip_shift, pose.hip_drop - hip_height - pose.lift], axis=1)
    upright = np.stack([np.sin(pose.lean), -np.cos(pose.lean)], axis=1)
    across = np.stack([np.cos(pose.lean), np.sin(pose.lean)], axis=1)
    chest = pelvis + (1.0 - hip_height - 2 * body.head - _NECK) * upright
    segments = _trunk(body, pelvis, chest, upright, across)
    for side, name in ((FAR, "far"), (NEAR, "near")):
        segments |= _arm(body, pose, chest + _SHOULDERS[side] * across, side, name)
        segments |= _leg(body, pose, pelvis + np.array([_HIPS[side], 0.0]), side, name)
    order = _drawing_order(body)
    return Limbs(
        starts=np.stack([segments[name][0] for name, _ in order], axis=1),
        ends=np.stack([segments[name][1] for name, _ in order], axis=1),
        radii=np.tile([segments[name][2] for name, _ in order], (frames, 1)),
        colours=np.array([colour for _, colour in order]),
    )


def _trunk(body: Body, pelvis: Floats, chest: Floats, upright: Floats, across: Floats) -> Segments:
    """Trunk and head, given two points and two directions, (T, 2) each."""
    head = chest + (_NECK + body.head) * upright
    crown = head + 0.022 * upright - 0.018 * across
    face = head - 0.012 * upright + 0.012 * across
    girth = body.girth
    shoulders = (chest + _SHOULDERS[FAR] * across, chest + _SHOULDERS[NEAR] * across, 0.048 * girth)
    return {
        "belly": (pelvis - 0.02 * upright, pelvis + 0.04 * upright, 0.072 * girth),
        "chest": (pelvis + 0.07 * upright, chest - 0.035 * upright, 0.080 * girth),
        "shoulders": shoulders,
        "neck": (chest, head, 0.032 * girth),
        "hair": (crown, crown, body.head),
        "face": (face, face, 0.86 * body.head),
    }


def _arm(body: Body, pose: Pose, shoulder: Floats, side: int, name: str) -> Segments:
    upper, fore = pose.upper_arms[:, side], pose.forearms[:, side]
    half = 0.5 * body.arm
    elbow = shoulder + half * np.stack([np.sin(upper), np.cos(upper)], axis=1)
    wrist = elbow + half * np.stack([np.sin(fore), np.cos(fore)], axis=1)
    return {
        f"{name} upper arm": (shoulder, elbow, 0.040 * body.girth),
        f"{name} forearm": (elbow, wrist, 0.034 * body.girth),
        f"{name} hand": (wrist, wrist, 0.040 * body.girth),
    }


def _leg(body: Body, pose: Pose, hip: Floats, side: int, name: str) -> Segments:
    """A leg of two equal bones from the hip to the ankle, its knee bent to the front."""
    ankle = pose.feet[:, side] * [1.0, -1.0] - np.stack([np.zeros(len(hip)), pose.lift + _ANKLE], axis=1)
    reach = ankle - hip
    distance = np.linalg.norm(reach, axis=1, keepdims=True)
    length = np.clip(distance, 1e-6, 0.999 * body.leg)
    direction = reach / np.maximum(distance, 1e-6)
    ankle = hip + length * direction
    to_front = np.stack([direction[:, 1], -direction[:, 0]], axis=1)
    knee = hip + 0.5 * length * direction + 0.5 * np.sqrt(body.leg**2 - length**2) * to_front
    return {
        f"{name} thigh": (hip, knee, 0.056 * body.girth),
        f"{name} shin": (knee, ankle, 0.044 * body.girth),
        f"{name} foot": (ankle, ankle + np.array([0.055, 0.0]), 0.030),
    }


def _drawing_order(body: Body) -> list[tuple[str, Floats]]:
    """Names and colours of the parts, back to front, group by group as `PART_GROUPS` says."""
    sleeve = body.shirt if body.long_sleeves else body.skin
    arm = (("upper arm", body.shirt), ("forearm", sleeve), ("hand", body.skin))
    leg = (("thigh", body.trousers), ("shin", body.trousers), ("foot", body.shoes))
    return [
        *((f"far {part}", _FAR_SHADE * colour) for part, colour in arm),
        *((f"far {part}", _FAR_SHADE * colour) for part, colour in leg),
        *((f"near {part}", colour) for part, colour in leg),
        ("belly", body.trousers),
        ("chest", body.shirt),
        ("shoulders", body.shirt),
        ("neck", body.skin),
        ("hair", body.hair),
        ("face", body.skin),
        *((f"near {part}", colour) for part, colour in arm),
    ]
