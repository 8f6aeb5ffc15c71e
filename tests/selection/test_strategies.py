"""Oracles: messages and picks written out by hand, and strategies that misbehave on purpose."""

import pyarrow as pa
import pytest
from made_up_pools import make_request, make_video, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.selection.claus import Claus
from hybridal_ray.selection.random_frames import Random
from hybridal_ray.selection.request import Selection, SelectionRequest, budget_in_frames, measure_of
from hybridal_ray.selection.strategies import STRATEGIES, build_strategy, run_strategy

REQUEST = make_request([make_video("a", 5), make_video("b", 5)], labelled={"a": [2]}, num_videos=1, max_frames=2)


class Dictated:
    """A strategy of the user's own, which picks what its options say."""

    needs_scores = False
    needs_videos = True

    def __init__(self, picks: list[tuple[str, int]], first_rank: int = 0) -> None:
        if first_rank < 0:
            raise ValueError("first_rank is negative")
        self.rows = [
            {"video_id": video_id, "frame": frame, "rank": rank}
            for rank, (video_id, frame) in enumerate(picks, start=first_rank)
        ]

    def select(self, request: SelectionRequest) -> Selection:
        return Selection(pa.Table.from_pylist(self.rows, schema=SELECTION_SCHEMA))


class OfOtherFields:
    """A strategy whose table lacks columns."""

    needs_scores = False
    needs_videos = True

    def select(self, request: SelectionRequest) -> Selection:
        return Selection(pa.table({"video_id": ["b"], "frame": [0]}))


class TakesAny:
    """A strategy that looks at its options itself."""

    needs_scores = False
    needs_videos = True

    def __init__(self, **options: int) -> None:
        self.options = options

    def select(self, request: SelectionRequest) -> Selection:
        raise NotImplementedError


NECESSARY = {"combined": {"videos": "random"}, "scheduled": {"until_frames": 3}}


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_registered_strategy_answers(name):
    rows = [score_row("a", 1.0, [0.0], [0, 1]), score_row("b", 2.0, [0.0], [3, 4])]
    request = make_request(list(REQUEST.videos), rows, num_videos=2)
    picks = run_strategy(name, NECESSARY.get(name, {}), request).picks
    assert len(picks) == 4


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_registered_strategy_tells_its_cost(name):
    built = build_strategy(name, NECESSARY.get(name, {}))
    told = [STRATEGIES[name].__doc__, type(built).__doc__, type(getattr(built, "videos", None)).__doc__]
    assert any("Cost:" in text for text in told if text)


def test_options_reach_the_constructor():
    strategy = build_strategy("claus", {"clusters": 7})
    assert isinstance(strategy, Claus)
    assert strategy.clusters == 7
    assert isinstance(build_strategy("random", {}), Random)
    assert build_strategy(f"{__name__}:TakesAny", {"width": 3}).options == {"width": 3}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("clause", {}, r"selection\.strategy: .*did you mean 'claus'"),
        ("claus", {"cluster": 3}, r"selection\.options\.cluster: .*did you mean 'clusters'"),
        ("random", {"clusters": 3}, r"selection\.options\.clusters: random has no such option \(known: none\)"),
        ("claus", {"clusters": 0}, r"selection\.options\.clusters: found 0"),
        (f"{__name__}:Dictated", {}, r"selection\.options\.picks: is missing"),
        (f"{__name__}:Dictated", {"picks": [], "first_rank": -1}, r"selection\.options: .*first_rank is negative"),
    ],
)
def test_a_wrong_name_or_option_is_told(name, options, message):
    with pytest.raises(UserError, match=message):
        build_strategy(name, options)


def test_a_strategy_of_the_users_own_is_asked():
    picks = run_strategy(f"{__name__}:Dictated", {"picks": [("b", 4), ("b", 0)]}, REQUEST).picks
    assert picks.select(["video_id", "frame", "rank"]).to_pylist() == [
        {"video_id": "b", "frame": 4, "rank": 0},
        {"video_id": "b", "frame": 0, "rank": 1},
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"picks": [("a", 2)]}, "frame 2 of video 'a' twice, or though it is answered"),
        ({"picks": [("b", 1), ("b", 1)]}, "frame 1 of video 'b' twice"),
        ({"picks": [("b", 5)]}, "frame 5 of video 'b', which is not in the pool"),
        ({"picks": [("test-video", 0)]}, "'test-video', which is not in the pool"),
        ({"picks": [("a", 0), ("b", 0)]}, "2 videos, at most 1"),
        ({"picks": [("b", 0), ("b", 1), ("b", 2)]}, "3 frames of 'b', at most 2"),
        ({"picks": [("b", 0)], "first_rank": 1}, "ranks"),
    ],
)
def test_what_would_waste_the_budget_is_not_bought(options, message):
    with pytest.raises(UserError, match=message):
        run_strategy(f"{__name__}:Dictated", options, REQUEST)


def test_the_bound_on_frames_is_checked_too():
    request = make_request(list(REQUEST.videos), frames_per_video=5, max_frames=1)
    with pytest.raises(UserError, match="2 frames, at most 1"):
        run_strategy(f"{__name__}:Dictated", {"picks": [("b", 0), ("b", 1)]}, request)


class WithoutNeeds:
    """A class that does not say whether it needs scores."""

    def select(self, request: SelectionRequest) -> Selection:
        raise NotImplementedError


def test_a_class_that_is_no_strategy_is_told_what_it_lacks():
    with pytest.raises(UserError, match="WithoutNeeds has no attribute 'needs_scores'"):
        build_strategy(f"{__name__}:WithoutNeeds", {})


def test_what_a_strategy_need_not_say_has_a_default():
    strategy = build_strategy(f"{__name__}:Dictated", {"picks": []})
    assert measure_of(strategy) is None
    assert not budget_in_frames(strategy)


class SpendsFrames(Dictated):
    budget_in_frames = True


def test_a_budget_of_frames_bounds_neither_videos_nor_the_frames_of_one():
    request = make_request(list(REQUEST.videos), num_videos=1, frames_per_video=3)
    picks = [("a", 0), ("b", 0), ("b", 1)]
    assert len(run_strategy(f"{__name__}:SpendsFrames", {"picks": picks}, request).picks) == 3
    with pytest.raises(UserError, match="2 videos, at most 1"):
        run_strategy(f"{__name__}:Dictated", {"picks": picks}, request)
    with pytest.raises(UserError, match="4 frames, at most 3"):
        run_strategy(f"{__name__}:SpendsFrames", {"picks": [*picks, ("b", 2)]}, request)


def test_the_measures_of_the_named_strategies():
    named = {name: measure_of(build_strategy(name, NECESSARY.get(name, {}))) for name in STRATEGIES}
    assert {name: measure for name, measure in named.items() if measure} == {
        "entropy": "entropy",
        "bald": "bald",
        "disagreement": "neighbour_disagreement",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"videos": "badger"}, r"selection\.options\.videos: .*did you mean 'badge'"),
        ({"videos": "clusters", "video_options": {"cluster": 1}}, r"selection\.options\.video_options\.cluster: "),
        ({"videos": "random", "frames": "scores"}, r"selection\.options\.frames: .*did you mean 'scored'"),
    ],
)
def test_a_combination_names_the_part_that_is_wrong(options, message):
    with pytest.raises(UserError, match=message):
        build_strategy("combined", options)


def test_a_table_of_other_fields_is_refused():
    with pytest.raises(UserError, match="SELECTION_SCHEMA"):
        run_strategy(f"{__name__}:OfOtherFields", {}, REQUEST)
