"""Oracle: the bounds of each field, written out by hand."""

import dataclasses

import pytest
from made_up_pools import make_request

from hybridal_ray.selection.request import SelectionRequest


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_videos": -1},
        {"frames_per_video": 0},
        {"max_frames": -1},
        {"revisit_fraction": 1.01},
        {"revisit_fraction": float("nan")},
    ],
)
def test_a_budget_that_makes_no_sense_is_named(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        make_request([], **wrong)


def test_a_request_has_no_room_for_labels():
    # Blind by construction: whoever adds a field here has to say that it holds no label.
    assert {field.name for field in dataclasses.fields(SelectionRequest)} == {
        *("videos", "labelled", "scores", "centres"),
        *("num_videos", "frames_per_video", "max_frames", "revisit_fraction", "seed"),
        *("memory_mib", "clusters_to", "round_index", "clusters", "answered"),
    }
