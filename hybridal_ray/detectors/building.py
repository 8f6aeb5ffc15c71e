"""Making a detector from its specification, fresh or out of a checkpoint."""

import dataclasses

from torch import nn

from hybridal_ray.detectors.compact import CompactDetector
from hybridal_ray.detectors.i3d_pyramid import I3DPyramid
from hybridal_ray.detectors.interface import DetectorSpec, InputChecked
from hybridal_ray.detectors.transformer_pyramid import TransformerPyramid
from hybridal_ray.detectors.video_capsule_net import VideoCapsuleNet
from hybridal_ray.errors import UserError
from hybridal_ray.registry import check_options, resolve

DETECTORS = {
    "compact": CompactDetector,
    "capsules": VideoCapsuleNet,
    "i3d_pyramid": I3DPyramid,
    "transformer_pyramid": TransformerPyramid,
}


def build_detector(spec: DetectorSpec) -> nn.Module:
    """Builds the module with fresh weights from torch's current generator.

    Args:
        spec: `name` is registered here, or a dotted path to a class or function of the user's own that takes
            ``num_classes`` and the options as keyword arguments.

    Raises:
        UserError: The name is unknown, an option is not one of the detector's, or its value or the clips are refused.
    """
    constructor = resolve(spec.name, DETECTORS, field="detector.name")
    check_options(constructor, spec.name, spec.options, field="detector.options", given=["num_classes"])
    try:
        detector = constructor(num_classes=spec.num_classes, **spec.options)
    except (TypeError, ValueError) as error:
        raise UserError(f"detector.options: {spec.name!r} refuses them: {error}") from error
    if isinstance(detector, InputChecked):
        try:
            detector.check_input(spec.clip_frames, spec.input_size)
        except ValueError as error:
            raise UserError(f"detector: {spec.name!r} cannot take these clips: {error}") from error
    return detector


def settled_spec(spec: DetectorSpec) -> DetectorSpec:
    """The specification with all written out that its options name files for, so that it builds without them.

    Args:
        spec: Of a detector whose class has ``settled_options(options)``, a static method that returns the options
            written out; any other detector's specification stays as it is.

    Raises:
        UserError: As in `build_detector`, or a file that an option names cannot be read.
    """
    constructor = resolve(spec.name, DETECTORS, field="detector.name")
    if not hasattr(constructor, "settled_options"):
        return spec
    try:
        return dataclasses.replace(spec, options=constructor.settled_options(spec.options))
    except ValueError as error:
        raise UserError(f"detector.options: {spec.name!r} refuses them: {error}") from error
