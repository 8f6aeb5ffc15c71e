"""Oracles: sizes by hand; sets of ids."""

import pytest

from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.pool_part import seeded_part

VIDEOS = [Video(f"v{index:03d}", f"/nowhere/{index}", "train", "g", 10, 32, 24) for index in range(200)]


def part(fraction: float, videos: list[Video] = VIDEOS, run_seed: int = 0, round_index: int = 0) -> list[Video]:
    return list(seeded_part(videos, fraction, run_seed=run_seed, round_index=round_index))


@pytest.mark.parametrize(("fraction", "size"), [(0.25, 50), (0.001, 1), (0.333, 67), (1, 200)])
def test_size_is_rounded_up_and_the_order_stays(fraction: float, size: int) -> None:
    found = part(fraction)
    assert len(found) == size
    assert found == [video for video in VIDEOS if video in found]


def test_part_depends_on_seed_and_round_and_not_on_the_order_of_the_pool() -> None:
    first = set(part(0.25))
    assert set(part(0.25, VIDEOS[::-1])) == first
    assert first < set(part(0.5))
    assert len({frozenset(first), frozenset(part(0.25, run_seed=1)), frozenset(part(0.25, round_index=1))}) == 3


def test_every_video_has_its_chance() -> None:
    counts = [sum(video in part(0.25, round_index=index) for index in range(200)) for video in VIDEOS[:20]]
    assert all(20 < count < 80 for count in counts)  # 50 expected, standard deviation 6


def test_slices_are_parts() -> None:
    found = seeded_part(VIDEOS, 0.1, run_seed=0, round_index=0)
    assert list(found[3:7]) == list(found)[3:7]
