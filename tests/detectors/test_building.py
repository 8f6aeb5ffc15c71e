"""Oracle: the class called by hand; messages that name the field and the nearest name."""

import pytest
import torch
import whole_detector

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.compact import CompactDetector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.errors import UserError


def spec(name: str, **options: object) -> DetectorSpec:
    return DetectorSpec(name, num_classes=3, input_size=32, clip_frames=4, clip_stride=2, options=options)


def test_the_registered_detector_is_built_with_classes_and_options() -> None:
    torch.manual_seed(4)
    built = build_detector(spec("compact", width=8, pyramid_width=16))
    torch.manual_seed(4)
    by_hand = CompactDetector(3, width=8, pyramid_width=16)
    assert built.state_dict().keys() == by_hand.state_dict().keys()
    assert all(torch.equal(built.state_dict()[name], tensor) for name, tensor in by_hand.state_dict().items())


def test_a_class_or_a_function_of_the_users_own_is_found_by_its_dotted_path() -> None:
    built = build_detector(spec("whole_detector:WholeDetector", width=5))
    assert type(built) is whole_detector.WholeDetector
    assert built.body.out_channels == 5
    linear = build_detector(spec("whole_detector:any_options", inputs=3, more=4))
    assert (linear.in_features, linear.out_features) == (7, 3)


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (spec("compct"), r"^detector\.name: no 'compct' is known .*; did you mean 'compact'\?$"),
        (spec("whole_detector:Whole"), r"^detector\.name: 'whole_detector:Whole' cannot be imported: .*no attribute"),
        (spec("no_such_module:Whole"), r"^detector\.name: .*No module named 'no_such_module'"),
        (
            spec("compact", widht=8),
            r"^detector\.options\.widht: compact has no such option .*; did you mean 'width'\?$",
        ),
        (spec("compact", num_class=8), r"^detector\.options\.num_class: compact has no such option \(known: [^;]*$"),
        (spec("compact", width=9), r"^detector\.options: 'compact' refuses them: .*multiples of 8"),
        (spec("compact", width="wide"), r"^detector\.options\.width: .*integer, found 'wide'$"),
        (spec("compact", num_classes=4), r"^detector\.options\.num_classes: compact has no such option"),
        (spec("transformer_pyramid"), r"^detector\.options\.config: is missing"),
    ],
)
def test_what_the_user_can_mend_is_named(of: DetectorSpec, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_detector(of)
