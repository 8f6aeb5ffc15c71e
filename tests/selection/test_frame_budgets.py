"""Oracles: strategies whose budget is one of frames, on pools small enough to work out by hand, or by greedy loops."""

import dataclasses
from collections import Counter

from hypothesis import given
from made_up_pools import RELAXED, make_request, make_video, requests, score_row

from hybridal_ray.selection.request import budget_in_frames, frame_budget
from hybridal_ray.selection.strategies import STRATEGIES, build_strategy, run_strategy

ROWS = [score_row(f"v{index}", index / 10, [0.0], [0, 2, 4]) for index in range(4)]
VIDEOS = [make_video(row["video_id"], 5) for row in ROWS]


@RELAXED
@given(requests())
def test_frames_are_ranked_over_the_whole_pool(request):
    frames = [
        (penalty - score, row["video_id"], frame)
        for row in request.scores.table.to_pylist()
        for frame, score, penalty in zip(
            row["frames"] or [], row["frame_scores"] or [], row["frame_penalties"] or [], strict=True
        )
        if frame not in request.taken_in(row["video_id"])
    ]
    expected = [(video_id, frame) for _, video_id, frame in sorted(frames)][: frame_budget(request)]
    picks = run_strategy("proximity", {}, request).picks
    assert list(zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True)) == expected


def test_frames_alone_may_all_lie_in_one_video():
    rows = [row | {"frame_scores": [9.0] * 3 if row["video_id"] == "v2" else [1.0] * 3} for row in ROWS]
    picks = run_strategy("proximity", {}, make_request(VIDEOS, rows, num_videos=3, frames_per_video=1)).picks
    assert set(picks["video_id"].to_pylist()) == {"v2"}
    assert picks["proximity_penalty"].to_pylist() == [0.0, 0.02, 0.04]


def test_inter_sample_buys_every_frame_of_the_most_uncertain_while_the_budget_lasts():
    request = make_request(VIDEOS, ROWS, num_videos=4, frames_per_video=2)  # eight frames, however they lie
    picks = run_strategy("inter_sample", {}, request).picks
    assert Counter(picks["video_id"].to_pylist()) == {"v3": 5, "v2": 3}
    assert picks["video_score"].to_pylist() == [0.3] * 5 + [0.2] * 3
    bounded = run_strategy("inter_sample", {}, dataclasses.replace(request, max_frames=6)).picks
    assert bounded == picks.slice(0, 6)


def test_intra_sample_brings_every_video_to_the_same_number_and_leaves_none_of_the_budget():
    request = make_request(VIDEOS, ROWS, num_videos=3, frames_per_video=3, labelled={"v1": [0, 4]})
    picks = run_strategy("intra_sample", {}, request).picks
    counts = Counter(picks["video_id"].to_pylist())
    # Nine frames over four videos of which v1 has two labels and one frame left: eleven labels then.
    assert sorted(counts[f"v{index}"] + 2 * (index == 1) for index in range(4)) == [2, 3, 3, 3]
    assert counts["v1"] <= 1


def test_intra_sample_evens_out_over_the_rounds():
    videos, labelled = [make_video(f"v{index:02d}") for index in range(30)], {"v00": (1, 2, 3, 4)}
    for seed in range(5):
        request = make_request(videos, labelled=labelled, num_videos=12, frames_per_video=1, seed=seed)
        picks = run_strategy("intra_sample", {"frames": "random"}, request).picks
        for video_id, frame in zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True):
            labelled = labelled | {video_id: (*labelled.get(video_id, ()), frame)}
    counts = Counter(map(len, labelled.values()))
    assert (counts, len(labelled)) == ({2: 27, 3: 2, 4: 1}, 30)  # 60 frames over the 29 that had none


def test_intra_sample_spreads_the_frames_of_its_share():
    videos = [make_video(f"v{index}", 100) for index in range(5)]
    request = make_request(videos, num_videos=5, frames_per_video=4)
    picks = run_strategy("intra_sample", {"frames": "equidistant"}, request).picks
    for video in videos:
        of_video = [row["frame"] for row in picks.to_pylist() if row["video_id"] == video.video_id]
        assert of_video == [12, 37, 62, 87]  # the middles of four quarters


def test_intra_sample_with_fewer_frames_than_videos_draws_the_videos():
    drawn = {
        tuple(
            run_strategy("intra_sample", {}, make_request(VIDEOS, ROWS, num_videos=2, frames_per_video=1, seed=seed))
            .picks["video_id"]
            .to_pylist()
        )
        for seed in range(200)
    }
    assert len(drawn) == 4 * 3
    assert all(len(set(names)) == 2 for names in drawn)


def test_who_is_bound_by_frames_alone():
    plain = set(STRATEGIES) - {"combined", "scheduled"}  # those take the kind of budget of what they are made of
    bound = {name for name in plain if budget_in_frames(build_strategy(name, {}))}
    assert bound == {"inter_sample", "intra_sample", "proximity"}
