"""Oracle: the strategy itself, called directly."""

import dataclasses

import numpy as np
import pytest
from made_up_pools import make_request, make_video, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.selection.claus import Claus
from hybridal_ray.selection.purchase import PickedVideo, purchase
from hybridal_ray.selection.request import Selection, SelectionRequest
from hybridal_ray.selection.selector import select

REQUEST = make_request(
    [make_video(f"v{index:02d}") for index in range(40)],
    [
        score_row(f"v{index:02d}", score, [float(latent)], [3, 1])
        for index, (score, latent) in enumerate(np.random.default_rng(0).uniform(0, 12, (40, 2)))
    ],
    num_videos=10,
    centres=None,
)


class Broken:
    """A strategy with a bug in it."""

    needs_scores = False
    needs_videos = True

    def select(self, request: SelectionRequest) -> Selection:
        raise ZeroDivisionError("a bug")


class CountsVideos:
    """Tells how many videos it was given."""

    needs_scores = False
    needs_videos = True

    def select(self, request: SelectionRequest) -> Selection:
        raise UserError(f"{len(request.videos)} videos")


class NeedsNoVideos(CountsVideos):
    needs_videos = False


class PicksLabelled:
    """Picks what is labelled already, without looking at the videos."""

    needs_scores = False
    needs_videos = False

    def select(self, request: SelectionRequest) -> Selection:
        return Selection(purchase([PickedVideo("v00", [0])], None))


def test_in_this_process_the_strategy_decides():
    assert select("claus", {"clusters": 3}, REQUEST, in_process=True) == Claus(clusters=3).select(REQUEST)


@pytest.mark.ray
def test_a_ray_task_selects_the_same(ray_cluster):
    assert select("claus", {"clusters": 3}, REQUEST, in_process=False) == Claus(clusters=3).select(REQUEST)


@pytest.mark.ray
def test_a_problem_of_the_users_arrives_as_one(ray_cluster):
    with pytest.raises(UserError, match=r"selection\.options\.clusters: found 0") as caught:
        select("claus", {"clusters": 0}, REQUEST, in_process=False)
    assert type(caught.value) is UserError


@pytest.mark.ray
def test_a_bug_keeps_the_traceback_of_the_task(ray_cluster):
    with pytest.raises(ZeroDivisionError, match="a bug"):
        select(f"{__name__}:Broken", {}, REQUEST, in_process=False)


@pytest.mark.ray
@pytest.mark.parametrize(("strategy", "videos"), [(CountsVideos, 40), (NeedsNoVideos, 0)])
def test_videos_travel_to_strategies_that_need_them(ray_cluster, strategy, videos):
    with pytest.raises(UserError, match=f"^{videos} videos"):
        select(f"{__name__}:{strategy.__name__}", {}, REQUEST, in_process=False)


@pytest.mark.ray
def test_picks_are_checked_against_the_videos_that_stayed_at_home(ray_cluster):
    with pytest.raises(UserError, match="frame 0 of video 'v00' twice, or though it is answered"):
        select(f"{__name__}:PicksLabelled", {}, dataclasses.replace(REQUEST, labelled={"v00": [0]}), in_process=False)
