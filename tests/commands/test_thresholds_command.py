"""Oracles: a detector that sees bright squares exactly, and the command itself, given the settings it has told."""

import itertools
import json

import pytest


def test_thresholds_are_searched_on_the_validation_split(hybridal, pool):
    arguments = ("--checkpoint", pool / "checkpoint", "--pool", pool, "--try", "mask_threshold=[0.99999, 0.7]")
    code, out, err = hybridal("thresholds", *arguments, "--json")
    assert code == 0, err
    assert [row["mask_threshold"] for row in json.loads(out)] == [0.7, 0.99999]
    code, out, _ = hybridal("thresholds", *arguments)
    assert out.startswith("video_map@0.5 1.0000: evaluation.mask_threshold=0.7")


def test_what_is_set_is_not_searched_and_the_line_that_is_told_reaches_its_figure_again(hybridal, pool):
    """Oracle: the settings of the line, given as --set, give the same figure; of the grid two fields are left."""
    detector = ("--checkpoint", pool / "checkpoint", "--pool", pool)
    fixed = ("--set", "mask_threshold=0.45", "--set", "min_tube_frames=9")
    code, out, err = hybridal("thresholds", *detector, *fixed, "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert {(row["mask_threshold"], row["min_tube_frames"]) for row in rows} == {(0.45, 9)}
    assert {(row["link_iou"], row["trim"]) for row in rows} == set(itertools.product((0.1, 0.3), (0.0, 0.5, 0.8)))
    code, out, _ = hybridal("thresholds", *detector, *fixed, "--try", "trim=[0.3]")
    assert code == 0
    figure, _, line = out.partition(": ")
    assert figure != "video_map@0.5 1.0000"  # which min_tube_frames, that is not tried, sees to
    assert line.split() == ["evaluation.trim=0.3", "evaluation.mask_threshold=0.45", "evaluation.min_tube_frames=9"]
    settings = [f"--set={field.removeprefix('evaluation.')}" for field in line.split()]
    code, again, _ = hybridal("thresholds", *detector, *settings)
    assert code == 0
    assert again.startswith(f"{figure}: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{pool}", "--try", "trim=0.5"], "expected FIELD=[VALUE,…]"),
        (["p", "--set", "trim=["], "--set trim=[: expected the node"),
        (
            ["p", "--try", "trim=[0]", "--try", "trim=[0.5]"],
            "--try trim=[0.5]: trim is tried already, expected all its values in one list",
        ),
        (
            ["p", "--set", "trim=0", "--try", "trim=[0.5]"],
            "--try trim=[0.5]: trim is given by --set too, expected it in one of them",
        ),
        (["p", "--try", "trim=[1"], "--try trim=[1: expected ',' or ']'"),
        (["p", "--try", "trimm=[1]"], "--try trimm: no such threshold"),
        (["p", "--try", "trim=[0.1, 2]"], "--try trim=2: Input should be"),
        (
            ["{pool}", "--metric", "video_map@0.55"],
            "metric: no figure 'video_map@0.55' is known, expected a name such as frame_map@0.5",
        ),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_line(hybridal, pool, arguments, message):
    given = (argument.format(pool=pool) for argument in arguments)
    code, _, err = hybridal("thresholds", "--checkpoint", "c", "--pool", *given)
    assert code == 2
    assert message in err
    assert err.startswith("hybridal: ")
    assert err.count("\n") == 1
