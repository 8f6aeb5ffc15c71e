"""How the boxes of the demo pool move, against a brute-force interpolation, frame by frame and number by number."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from hybridal_ray.pool.demo import demo_tables
from hybridal_ray.pool.tables import Pool

# Mean IoU on the frames in between, on the 3,185 videos of UCF101-24 (corrected annotations).
REAL_AGREEMENT = {5: 0.908, 10: 0.863, 20: 0.789, 40: 0.698}


@pytest.fixture(scope="module", params=[0, 1])
def pool(request: pytest.FixtureRequest) -> Pool:
    return demo_tables("unwritten", videos=240, seed=request.param)


def tubes_by_id(tubes: pa.Table) -> dict[str, dict[int, tuple[float, ...]]]:
    boxes: dict[str, dict[int, tuple[float, ...]]] = defaultdict(dict)
    for row in tubes.to_pylist():
        boxes[row["tube_id"]][row["frame"]] = (row["x1"], row["y1"], row["x2"], row["y2"])
    return boxes


def iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    area = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return shared / (area - shared)


def agreement(tubes: pa.Table, gap: int) -> float:
    """Mean IoU of boxes interpolated between every gap-th frame of a tube with the true ones in between."""
    found = []
    for boxes in tubes_by_id(tubes).values():
        first, last = min(boxes), max(boxes)
        for left in range(first, last - gap + 1, gap):
            for frame in range(left + 1, left + gap):
                share = (frame - left) / gap
                between = tuple(
                    (1 - share) * a + share * b for a, b in zip(boxes[left], boxes[left + gap], strict=True)
                )
                found.append(iou(between, boxes[frame]))
    return float(np.mean(found))


@pytest.mark.parametrize("gap", REAL_AGREEMENT)
def test_interpolated_boxes_agree_with_the_truth_as_on_real_videos(pool: Pool, gap: int) -> None:
    assert agreement(pool.tubes, gap) == pytest.approx(REAL_AGREEMENT[gap], abs=0.03)


def test_boxes_are_inside_the_frame_and_not_tiny(pool: Pool) -> None:
    x1, y1, x2, y2 = (pool.tubes[name].to_numpy() for name in ("x1", "y1", "x2", "y2"))
    assert min(x1.min(), y1.min()) >= 0
    assert max(x2.max(), y2.max()) <= 96
    assert (x2 - x1).min() > 8
    assert (y2 - y1).min() > 20


def test_tubes_have_no_holes_and_many_are_shorter_than_their_video(pool: Pool) -> None:
    length_of = dict(zip(*(pool.videos[name].to_pylist() for name in ("video_id", "num_frames")), strict=True))
    partial = 0
    tubes = tubes_by_id(pool.tubes)
    for tube_id, boxes in tubes.items():
        length = length_of[tube_id.split("-actor-")[0]]
        assert sorted(boxes) == list(range(min(boxes), max(boxes) + 1))
        assert min(boxes) >= 0
        assert max(boxes) < length
        partial += len(boxes) < length
    assert 0.25 < partial / len(tubes) < 0.6


def test_no_tube_is_shorter_than_two_repetitions_of_its_action_at_the_fastest_pace(pool: Pool) -> None:
    assert min(len(boxes) for boxes in tubes_by_id(pool.tubes).values()) >= 20
