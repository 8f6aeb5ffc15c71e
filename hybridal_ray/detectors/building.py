"""Making a detector from its specification, fresh or out of a checkpoint."""

import inspect

from torch import nn

from hybridal_ray.detectors.compact import CompactDetector
from hybridal_ray.detectors.i3d_pyramid import I3DPyramid
from hybridal_ray.detectors.interface import DetectorSpec, InputChecked
from hybridal_ray.errors import UserError
from hybridal_ray.registry import nearest, resolve

DETECTORS = {"compact": CompactDetector, "i3d_pyramid": I3DPyramid}


def build_detector(spec: DetectorSpec) -> nn.Module:
    """Builds the module with fresh weights from torch's current generator.

    Args:
        spec: `name` is registered here, or a dotted path to a class or function of the user's own that takes
            ``num_classes`` and the options as keyword arguments.

    Raises:
        UserError: The name is unknown, an option is not one of the detector's, or its value or the clips are refused.
    """
    constructor = resolve(spec.name, DETECTORS, field="detector.name")
    parameters = inspect.signature(constructor).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for option in spec.options:
        if option not in parameters and not takes_any:
            raise UserError(
                f"detector.options.{option}: {spec.name!r} has no such option"
                + nearest(option, [name for name in parameters if name != "num_classes"])
            )
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
