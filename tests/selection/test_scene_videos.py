"""Oracles: scenes written down and counted one by one; picks worked out by hand."""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_pools import RELAXED, make_request, make_video, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.strategies import build_strategy, run_strategy


def request_of(sizes: dict[str, int], scores: dict[str, float] | None = None, **changes: Any) -> SelectionRequest:
    """Videos named by their scene; start latents tell the scenes, those of the detector are all alike."""
    ids = [f"{scene}{number}" for scene, size in sizes.items() for number in range(size)]
    places = {scene: 10.0 * index for index, scene in enumerate(sizes)}
    rows = [score_row(name, (scores or {}).get(name, 0.0), [0.0], [5, 6]) for name in ids]
    looks = [score_row(name, None, [places[name[0]]], []) for name in ids]
    videos = [make_video(name) for name in ids]
    start_latents = make_request(videos, looks).scores
    return make_request(videos, rows, frames_per_video=1, start_latents=start_latents, **changes)


def test_scenes_get_videos_by_their_size_and_the_most_uncertain_goes_first():
    scores = {"a0": 1.0, "a1": 9.0, "a2": 8.0, "a3": 5.0, "b0": 2.0, "b1": 3.0}
    request = request_of({"a": 4, "b": 2}, scores, num_videos=3)
    picks = run_strategy("scenes", {"scenes": 2}, request).picks
    assert sorted(picks["video_id"].to_pylist()) == ["a1", "a2", "b1"]
    assert dict(zip(picks["video_id"].to_pylist(), picks["cluster"].to_pylist(), strict=True))["b1"] == 1


def test_what_is_labelled_counts_towards_the_share_of_its_scene():
    request = request_of({"a": 4, "b": 4}, labelled={"a0": [0], "a1": [0]}, num_videos=2)
    assert sorted(run_strategy("scenes", {"scenes": 2}, request).picks["video_id"].to_pylist()) == ["b0", "b1"]


def test_there_are_as_many_scenes_as_there_will_be_labelled_videos(tmp_path):
    request = request_of(dict.fromkeys("abcdef", 2), labelled={"a0": [0]}, num_videos=3)
    location = tmp_path / "clusters.parquet"
    run_strategy("scenes", {}, dataclasses.replace(request, clusters_to=str(location)))
    told = pq.read_table(location)
    assert len(told) == 12
    assert len(set(told["cluster"].to_pylist())) == 4


@RELAXED
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=6),
    st.integers(0, 25),
    st.sets(st.integers(0, 35), max_size=8),
    st.sampled_from([{}, {"inside": "random", "frames": "random"}]),
    st.integers(0, 3),
)
def test_no_scene_is_ahead_of_its_share_while_another_could_have_waited(sizes, count, labelled, options, seed):
    request = request_of({"abcdef"[place]: size for place, size in enumerate(sizes)})
    ids = [video.video_id for video in request.videos]
    held = {ids[place] for place in labelled if place < len(ids)}
    request = dataclasses.replace(request, labelled={name: [0] for name in held}, num_videos=count, seed=seed)
    picks = run_strategy("scenes", options | {"scenes": len(sizes)}, request).picks
    new = set(picks["video_id"].to_pylist()) - held
    assert len(new) == min(count, len(ids) - len(held))
    total, size_of = Counter(name[0] for name in held | new), Counter(name[0] for name in ids)
    for poor in size_of:
        for rich in {name[0] for name in new}:
            if total[poor] < size_of[poor]:  # it had a video left
                assert (total[rich] - 0.5) / size_of[rich] <= (total[poor] + 0.5) / size_of[poor] + 1e-9


def test_a_video_without_a_start_latent_is_not_bought():
    request = request_of({"a": 2, "b": 1}, {"b0": 9.0}, num_videos=3)
    rows = [score_row("a0", None, [1.0], []), score_row("a1", None, [1.0], []), score_row("b0", None, None, [])]
    request = dataclasses.replace(request, start_latents=make_request([], rows).scores)
    assert set(run_strategy("scenes", {}, request).picks["video_id"].to_pylist()) == {"a0", "a1"}


def test_inside_a_scene_chance_draws_without_a_scoring_pass():
    options = {"inside": "random", "frames": "equidistant", "scenes": 2}
    strategy = build_strategy("scenes", options)
    assert not strategy.needs_scores
    drawn = set()
    for seed in range(20):
        request = dataclasses.replace(request_of({"a": 4, "b": 4}, num_videos=2, seed=seed), scores=None)
        drawn.add(frozenset(run_strategy("scenes", options, request).picks["video_id"].to_pylist()))
    assert all({name[0] for name in names} == {"a", "b"} for names in drawn)
    assert len(drawn) > 6  # of 16


def test_without_any_latent_it_is_told_what_is_missing():
    request = request_of({"a": 2}, num_videos=1)
    nothing = make_request([], [score_row("a0", None, None, [])]).scores
    with pytest.raises(UserError, match=r"selection\.start_latents: no video has a latent"):
        run_strategy("scenes", {}, dataclasses.replace(request, start_latents=nothing))


def test_a_latent_that_is_no_number_is_told():
    request = request_of({"a": 2}, num_videos=1)
    broken = make_request([], [score_row("a0", None, [float(np.nan)], [])]).scores
    with pytest.raises(UserError, match="not finite"):
        run_strategy("scenes", {}, dataclasses.replace(request, start_latents=broken))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenes": 0}, r"selection\.options\.scenes: found 0"),
        ({"restarts": True}, r"selection\.options\.restarts: found True"),
        ({"inside": "chance"}, r"selection\.options\.inside: found 'chance'"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(options, message):
    with pytest.raises(UserError, match=message):
        build_strategy("scenes", options)
