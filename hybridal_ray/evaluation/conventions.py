"""The conventions under which the field reports average precision, as tables of choices.

The figures of `capsnet` are no average precision; `hybridal_ray.evaluation.mask_shares` has them.
"""

from dataclasses import dataclass
from typing import Literal

from hybridal_ray.evaluation.average_precision import Area, envelope_area, trapezoid_area

Temporal = Literal["frames", "span", "span_plus_one"]
FRAME_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
TUBE_THRESHOLDS = (0.2, *FRAME_THRESHOLDS)


@dataclass(frozen=True)
class Convention:
    """What a convention chooses.

    Attributes:
        name: Under which its figures are told.
        plus_one: Boxes are inclusive pixels: a width is x2 − x1 + 1.
        best_of_all: A detection answers to the ground truth it overlaps most, be it taken; else to the best left.
        temporal: Of tube IoU: frames in common over frames in either; or of the spans from the first to the
            last frame, overlap over hull, without or with one added to both.
        area: Average precision of a ranking.
        absent_class: Average precision of a class without ground truth; None leaves it out of the mean.
        tubes: Whether there is a video-mAP.
        source: Where it comes from.
    """

    name: str
    plus_one: bool
    best_of_all: bool
    temporal: Temporal
    area: Area
    absent_class: float | None
    tubes: bool
    source: str


STRICT = Convention(
    "strict", False, False, "frames", envelope_area, None, True,
    "ours, the default: every frame of every test video counts, a detection on an empty frame is false",
)  # fmt: skip
ACT = Convention(
    "act", True, False, "span_plus_one", trapezoid_area, 0.0, True,
    "Kalogeiton et al., ICCV 2017 (ACT), and Li et al., ECCV 2020 (MOC)",
)  # fmt: skip
MULTISPORTS = Convention(
    "multisports", False, True, "span", envelope_area, None, True, "Li et al., ICCV 2021 (MultiSports)"
)
AVA = Convention(
    "ava", False, True, "frames", envelope_area, None, False,
    "Gu et al., CVPR 2018 (AVA): the evaluation of its challenge; IoU is the same in pixels and normalised",
)  # fmt: skip
CONVENTIONS = (STRICT, ACT, MULTISPORTS, AVA)
CAPSNET = "capsnet"
