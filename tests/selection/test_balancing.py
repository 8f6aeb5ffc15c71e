"""Oracle: the rule, spelled out as a loop over all classes at every step."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from made_up_pools import RELAXED, make_request, make_video, score_row

from hybridal_ray.selection.balancing import balanced_order
from hybridal_ray.selection.strategies import run_strategy


@RELAXED
@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 4), min_size=4, max_size=4), st.randoms())
def test_the_next_video_is_always_of_a_class_that_has_the_fewest(classes, held, random):
    ranked = list(range(len(classes)))
    random.shuffle(ranked)
    have, left, expected = list(held), list(ranked), []
    while left:
        fewest = min(have[classes[video]] for video in left)
        video = next(video for video in left if have[classes[video]] == fewest)  # the best ranked of those classes
        expected.append(video)
        have[classes[video]] += 1
        left.remove(video)
    assert balanced_order(ranked, np.array(classes, dtype=np.int64), np.array(held)) == expected


def test_labelled_videos_count_by_what_is_predicted_of_them():
    rows = [score_row(f"v{index}", 9.0 - index, [0.0], [0, 1]) for index in range(6)]
    for row, probability in zip(rows, [0.9, 0.8, 0.7, 0.6, 0.2, 0.1], strict=True):
        row["class_scores"] = [probability, 1 - probability]
    videos = [make_video(row["video_id"]) for row in rows]
    request = make_request(videos, rows, labelled={"v0": [7]}, num_videos=3, frames_per_video=1)
    plain, balanced = (
        run_strategy("uncertainty", options, request).picks["video_id"].to_pylist()
        for options in ({}, {"balance_classes": True})
    )
    assert plain == ["v1", "v2", "v3"]
    assert balanced == ["v4", "v1", "v5"]  # class 0 has v0 already; then both have one, and v1 ranks higher
