"""Oracles: orders of purchase worked out by hand, and what was read of the scores, noted down."""

import dataclasses
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest
from made_up_pools import make_request, make_video, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.core_set import CoreSetVideos
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.random_videos import RandomVideos
from hybridal_ray.selection.score_batches import ScoreTable
from hybridal_ray.selection.strategies import run_strategy
from hybridal_ray.selection.uncertain_videos import UncertainVideos

ROWS = [score_row(f"v{index}", index / 10, [float(index)], [4, 1, 3]) for index in range(6)]
VIDEOS = [make_video(row["video_id"], 5) for row in ROWS]


@dataclasses.dataclass
class NotedScores:
    """Scores that note which columns are read."""

    table: pa.Table
    read: list[set[str]] = dataclasses.field(default_factory=list)

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        self.read.append(set(columns))
        return ScoreTable(self.table).batches(columns, rows)


def test_new_and_revisited_videos_are_bought_in_turns_each_the_most_uncertain_first():
    labelled = {"v5": [4], "v4": [1, 3, 4], "v0": [1]}
    request = make_request(VIDEOS, ROWS, labelled=labelled, num_videos=4, revisit_fraction=0.5, frames_per_video=1)
    picks = Combined(UncertainVideos(), frame_rule("scored")).select(request).picks
    # v4 has no scored frame left; equidistant frames are to be had in it all the same.
    assert list(zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True)) == [
        ("v3", 4),
        ("v5", 1),
        ("v2", 4),
        ("v0", 4),
    ]
    equidistant = Combined(UncertainVideos(), frame_rule("equidistant")).select(request).picks
    assert equidistant["video_id"].to_pylist() == ["v3", "v5", "v2", "v4"]


def test_it_needs_what_its_choices_need():
    needs = {
        (videos, frames): (built.needs_scores, built.needs_videos)
        for videos, rule in (("random", RandomVideos()), ("core_set", CoreSetVideos()))
        for frames in ("scored", "equidistant")
        for built in [Combined(rule, frame_rule(frames))]
    }
    assert needs == {
        ("random", "scored"): (True, False),
        ("random", "equidistant"): (False, True),
        ("core_set", "scored"): (True, False),
        ("core_set", "equidistant"): (True, True),
    }


def test_videos_are_chosen_without_reading_the_frames_in_full():
    scores = NotedScores(make_request(VIDEOS, ROWS).scores.table)
    Combined(UncertainVideos(), frame_rule("equidistant")).select(
        dataclasses.replace(make_request(VIDEOS, ROWS), scores=scores)
    )
    assert scores.read == [{"video_id", "video_score"}] * 2


def test_scores_that_are_missing_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="needs scores"):
        Combined(UncertainVideos(), frame_rule("scored")).select(make_request(VIDEOS))


def test_scores_that_hold_a_video_twice_are_refused():
    with pytest.raises(ValueError, match="twice"):
        Combined(UncertainVideos(), frame_rule("scored")).select(make_request(VIDEOS, [*ROWS, ROWS[0]]))


def test_latents_of_unequal_length_are_told():
    with pytest.raises(UserError, match="the latent of video 'v5' is not as long"):
        run_strategy("core_set", {}, make_request(VIDEOS, [*ROWS[:5], ROWS[5] | {"latent": [1.0, 2.0]}]))


def test_videos_without_a_latent_are_left_out_where_latents_count():
    rows = [*ROWS[:5], score_row("v5", None, None, [])]
    picks = run_strategy("core_set", {}, make_request(VIDEOS, rows, num_videos=6)).picks
    assert sorted(set(picks["video_id"].to_pylist())) == ["v0", "v1", "v2", "v3", "v4"]
