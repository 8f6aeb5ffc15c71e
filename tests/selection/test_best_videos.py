"""Oracle: sorting all that was offered."""

from unittest import mock

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from made_up_pools import RELAXED

from hybridal_ray.selection.best_videos import BestVideos

SCHEMA = pa.schema([("video_id", pa.string()), ("video_score", pa.float64()), ("frames", pa.list_(pa.int32()))])
SCORES = st.sampled_from([-1.0, -0.0, 0.0, 1.0]) | st.floats(allow_nan=False)


@RELAXED
@given(
    st.dictionaries(st.text("aéz😀", max_size=3), SCORES, max_size=40), st.integers(0, 12), st.integers(1, 9), st.data()
)
def test_the_best_are_those_that_sorting_everything_puts_first(scores, most, rows_at_once, data):
    rows = [{"video_id": name, "video_score": score, "frames": [len(name)]} for name, score in scores.items()]
    with mock.patch.multiple("hybridal_ray.selection.best_videos", FEWEST_WAITING=rows_at_once):
        best = BestVideos(most)
        for start in range(0, len(rows), rows_at_once):
            best.offer(pa.Table.from_pylist(rows[start : start + rows_at_once], schema=SCHEMA))
    count = data.draw(st.integers(0, most))
    assert best.offered == len(rows)
    assert best.best(count) == sorted(rows, key=lambda row: (-row["video_score"], row["video_id"]))[:count]


def test_what_is_held_is_bounded_however_much_is_offered():
    best = BestVideos(10)
    held = 0
    for number in range(100):  # ever better, so that none is turned away
        rows = [{"video_id": f"v{i}", "video_score": number + i / 1000, "frames": []} for i in range(1000)]
        best.offer(pa.Table.from_pylist(rows, schema=SCHEMA))
        held = max(held, sum(map(len, best._kept)))
    assert held <= 10 + 4096 + 1000
    assert [row["video_id"] for row in best.best(3)] == ["v999", "v998", "v997"]


def test_of_none_there_is_no_best():
    assert BestVideos(3).best(3) == []
