"""Which sources, clips and splits the demo pool has, by counting in its tables."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridal_ray.errors import UserError
from hybridal_ray.pool.demo import DemoDifficulty, demo_tables, scene_of, scene_of_group
from hybridal_ray.pool.demo.sources import SCENES, plan_clips
from hybridal_ray.pool.tables import Pool


@pytest.fixture(scope="module", params=[0, 1, 2])
def seeded(request: pytest.FixtureRequest) -> tuple[int, Pool]:
    return request.param, demo_tables("unwritten", videos=240, seed=request.param)


@settings(max_examples=60, deadline=None)
@given(videos=st.integers(8, 300), seed=st.integers(0, 1000))
def test_any_pool_has_the_videos_asked_for_in_groups_of_4_to_8_that_keep_to_one_split(videos: int, seed: int) -> None:
    plan = plan_clips(videos, seed)
    assert len(plan) == videos == len({clip.video_id for clip in plan})
    sizes = Counter(clip.group for clip in plan)
    assert min(sizes.values()) >= 4
    assert max(sizes.values()) <= 8
    assert {"train", "test"} == {clip.split for clip in plan}
    assert len({(clip.group, clip.split) for clip in plan}) == len(sizes)


def test_a_quarter_to_a_third_of_the_videos_are_for_testing(seeded: tuple[int, Pool]) -> None:
    splits = Counter(seeded[1].videos["split"].to_pylist())
    assert 0.25 <= splits["test"] / 240 <= 0.31


def test_scenes_have_a_long_tail_and_every_one_is_in_both_splits(seeded: tuple[int, Pool]) -> None:
    seed, pool = seeded
    videos = pool.videos.to_pylist()
    scenes = Counter(scene_of_group(seed, video["group"]) for video in videos)
    assert [scene for scene, _ in scenes.most_common()] == list(SCENES)
    assert scenes["plain"] > 5 * scenes["crowded"]
    for split in ("train", "test"):
        groups = {video["group"] for video in videos if video["split"] == split}
        assert {scene_of_group(seed, group) for group in groups} == set(SCENES)


def test_every_action_is_in_both_splits_and_none_prevails(seeded: tuple[int, Pool]) -> None:
    _, pool = seeded
    classes = range(len(pool.classes))
    for split in ("train", "test"):
        ids = [video.video_id for video in pool.usable_videos(split)]
        assert set(pool.tubes_of(ids)["class_id"].to_pylist()) == set(classes)
    tubes = {(row["tube_id"], row["class_id"]) for row in pool.tubes.to_pylist()}
    shares = [sum(class_id == wanted for _, class_id in tubes) / len(tubes) for wanted in classes]
    assert max(shares) < 0.35
    assert min(shares) > 0.05


def test_about_a_sixth_of_the_videos_has_two_actors_and_the_others_one(seeded: tuple[int, Pool]) -> None:
    tubes = {(row["video_id"], row["tube_id"]) for row in seeded[1].tubes.to_pylist()}
    actors = Counter(Counter(video for video, _ in tubes).values())
    assert set(actors) == {1, 2}
    assert actors[1] + actors[2] == 240
    assert 0.12 < actors[2] / 240 < 0.23


def actions_of_groups(pool: Pool) -> dict[str, list[int]]:
    """The class of the first actor in each clip, by group."""
    group_of = dict(zip(*(pool.videos[name].to_pylist() for name in ("video_id", "group")), strict=True))
    first = {row["video_id"]: row["class_id"] for row in pool.tubes.to_pylist() if row["tube_id"].endswith("-0")}
    actions: dict[str, list[int]] = {}
    for video_id, class_id in first.items():
        actions.setdefault(group_of[video_id], []).append(class_id)
    return actions


def test_a_source_has_a_usual_action_but_does_not_give_it_away(seeded: tuple[int, Pool]) -> None:
    groups = actions_of_groups(seeded[1]).values()
    most_common = [max(actions.count(action) for action in actions) / len(actions) for actions in groups]
    assert 0.5 < sum(most_common) / len(most_common) < 0.8


def test_every_clip_of_a_source_shows_its_usual_action_if_asked_for() -> None:
    difficulty = DemoDifficulty(usual_action_share=1.0)
    pool = demo_tables("unwritten", videos=60, seed=0, difficulty=difficulty)
    assert all(len(set(actions)) == 1 for actions in actions_of_groups(pool).values())


def test_a_source_does_not_depend_on_how_many_there_are() -> None:
    small, large = (demo_tables("unwritten", videos=videos, seed=3) for videos in (24, 48))
    common = set(small.videos["video_id"].to_pylist()) & set(large.videos["video_id"].to_pylist())
    assert len(common) >= 20
    assert small.tubes_of(sorted(common)).equals(large.tubes_of(sorted(common)))


def test_a_group_that_is_not_of_a_demo_pool_has_no_scene() -> None:
    assert scene_of_group(5, "source-0011") == scene_of(5, 11)
    with pytest.raises(UserError, match="'v_Basketball_g01'"):
        scene_of_group(5, "v_Basketball_g01")


def test_too_few_videos_are_refused() -> None:
    with pytest.raises(UserError, match=r"videos: 7 .* at least 8"):
        plan_clips(7, 0)
