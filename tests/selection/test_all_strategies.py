"""Oracle: what any selection must be, whichever strategy made it; every registered one is held to it."""

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from made_up_pools import make_request, make_video, requests, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.selection.frame_rules import FRAME_RULES
from hybridal_ray.selection.request import SelectionRequest, budget_in_frames, frame_budget
from hybridal_ray.selection.score_batches import ScoreTable
from hybridal_ray.selection.strategies import STRATEGIES, build_strategy, run_strategy

FEW = settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
OPTIONS: dict[str, dict[str, Any]] = {
    "claus": {"restarts": 1},
    "clusters": {"restarts": 1},
    "scheduled": {"until_frames": 5, "then_options": {"restarts": 1}},
}
BALANCED = {"balance_classes": True}
EVERY = [
    *((name, OPTIONS.get(name, {})) for name in sorted(STRATEGIES) if name != "combined"),
    *(("combined", {"videos": "uncertainty", "frames": frames}) for frames in sorted(FRAME_RULES)),
    ("uncertainty", BALANCED),
    ("inter_sample", BALANCED),
    ("combined", {"videos": "clusters", "video_options": BALANCED}),
    *(("intra_sample", {"frames": frames}) for frames in sorted(set(FRAME_RULES) - {"scored"})),
    ("core_set", {"frames": "all"}),
]


def bought(picks: pa.Table) -> list[tuple[str, int]]:
    return list(zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True))


def shuffled(request: SelectionRequest) -> SelectionRequest:
    assert isinstance(request.scores, ScoreTable)
    rows = request.scores.table.to_pylist()[::-1]
    return dataclasses.replace(
        request, videos=request.videos[::-1], scores=ScoreTable(pa.Table.from_pylist(rows, schema=SCORES_SCHEMA))
    )


@pytest.mark.parametrize(("name", "options"), EVERY, ids=str)
class TestAnyStrategy:
    @FEW
    @given(requests())
    def test_is_within_budget_free_of_labels_and_blind_to_the_order_of_rows(self, name, options, request):
        picks = run_strategy(name, options, request).picks  # its checks: no labelled frame, none twice, none beyond
        assert run_strategy(name, options, shuffled(request)).picks == picks
        assert len(picks) <= frame_budget(request)
        if not budget_in_frames(build_strategy(name, options)):
            videos = [video_id for video_id, _ in bought(picks)]
            assert len(set(videos)) <= request.num_videos
            assert max(map(videos.count, videos), default=0) <= request.frames_per_video
        smaller = dataclasses.replace(request, max_frames=len(picks) // 2)
        assert len(run_strategy(name, options, smaller).picks) <= len(picks) // 2

    @pytest.mark.parametrize("labelled", [{}, {"v1": [0], "v3": [0, 1, 2]}])
    def test_buys_the_whole_pool_where_the_budget_is_as_large(self, name, options, labelled):
        request = whole_pool_request(labelled, num_videos=9, frames_per_video=9)
        everything = {(video.video_id, frame) for video in request.videos for frame in range(video.num_frames)}
        held = {(video_id, frame) for video_id, frames in labelled.items() for frame in frames}
        assert set(bought(run_strategy(name, options, request).picks)) == everything - held

    def test_a_video_of_which_nobody_could_tell_is_as_new_as_before(self, name, options):
        known, asked = {"v1": [0]}, {"num_videos": 2, "frames_per_video": 1}
        strategy = build_strategy(name, options)
        request = whole_pool_request(known, **asked)
        (video_id, frame), *_ = bought(strategy.select(request).picks)
        unclear = dataclasses.replace(request, answered={**known, video_id: [frame]})
        again = bought(strategy.select(unclear).picks)
        assert (video_id, frame) not in again
        if name != "proximity":  # which knows frames alone
            assert again[0][0] == video_id

    def test_buys_as_many_frames_as_the_budget_has(self, name, options):
        request = whole_pool_request({}, num_videos=3, frames_per_video=2)
        assert len(run_strategy(name, options, request).picks) == 6
        assert len(run_strategy(name, options, dataclasses.replace(request, max_frames=5)).picks) == 5

    def test_with_no_budget_buys_nothing(self, name, options):
        assert len(run_strategy(name, options, whole_pool_request({}, num_videos=0)).picks) == 0


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"claus", "clusters", "combined", "scheduled"}))
def test_a_pool_without_scores_and_without_videos_is_an_empty_selection(name):
    assert len(run_strategy(name, {}, make_request([], [])).picks) == 0


def whole_pool_request(labelled: dict[str, list[int]], **changes: Any) -> SelectionRequest:
    """Nine videos of three to five frames, all of which scoring took but the labelled ones."""
    rng = np.random.default_rng(0)
    videos = [make_video(f"v{index}", 3 + index % 3) for index in range(9)]
    rows = []
    for video in videos:
        free = [frame for frame in range(video.num_frames) if frame not in labelled.get(video.video_id, ())]
        row = score_row(video.video_id, float(rng.normal()), rng.normal(size=2).tolist(), free)
        row["profile"] = rng.random(video.num_frames).tolist()
        row["class_scores"] = rng.dirichlet([1, 1, 1]).tolist()
        rows.append(row)
    return make_request(videos, rows, labelled=labelled, centres=None, **changes)


@pytest.mark.parametrize("name", ["core_set", "badge", "typiclust"])
def test_latents_that_do_not_fit_are_refused_by_the_name_of_the_field(name):
    rows = [score_row(f"v{index:04d}", 1.0, [0.0] * 512, [0]) for index in range(600)]
    request = make_request([make_video(row["video_id"]) for row in rows], rows, memory_mib=1)
    with pytest.raises(UserError, match=r"selection\.memory_mib: found 1, expected more"):
        run_strategy(name, {}, request)


@pytest.mark.parametrize("name", ["core_set", "badge", "typiclust", "uncertainty", "clusters", "proximity"])
def test_a_diverged_detector_is_told(name):
    broken = {"video_score": float("nan"), "latent": [float("nan")], "frame_scores": [float("nan")] * 2}
    rows = [score_row("a", 1.0, [0.0], [0, 1]), score_row("b", 1.0, [0.0], [0, 1]) | broken]
    with pytest.raises(UserError, match="diverge"):
        run_strategy(name, {}, make_request([make_video("a"), make_video("b")], rows))
