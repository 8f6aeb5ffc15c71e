"""Oracle: the strategy itself, called directly."""

import numpy as np
import pytest
from made_up_pools import make_request, make_video, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.selection.claus import Claus
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
