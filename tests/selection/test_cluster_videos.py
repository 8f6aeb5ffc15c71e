"""Oracles: CLAUS as it streams, and shares worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_pools import RELAXED, make_request, make_video, requests, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import CLUSTERS_SCHEMA
from hybridal_ray.pool.table_files import read_table
from hybridal_ray.selection.claus import Claus
from hybridal_ray.selection.cluster_videos import ClusterVideos
from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.strategies import run_strategy


@RELAXED
@given(requests(), st.sampled_from([3, None]))
def test_with_the_frames_of_scoring_it_selects_what_claus_does(request, clusters):
    combined = Combined(ClusterVideos(clusters=clusters, restarts=1), frame_rule("scored"))
    assert combined.select(request) == Claus(clusters=clusters, restarts=1).select(request)


@RELAXED
@given(requests(), st.sampled_from(["random", "equidistant"]))
def test_with_other_frames_too(request, frames):
    combined = Combined(ClusterVideos(clusters=3, restarts=1), frame_rule(frames))
    assert combined.select(request) == Claus(clusters=3, restarts=1, frames=frames).select(request)


NEAR = [score_row(f"near-{score}", score / 10, [1.0], [score, 0]) for score in range(8)]
FAR = [score_row(f"far-{score}", score / 10, [9.0], [score, 0]) for score in range(4)]
VIDEOS = [make_video(row["video_id"]) for row in NEAR + FAR]


def test_clusters_alone_keep_the_shares_and_draw_inside(tmp_path):
    drawn = set()
    for seed in range(20):
        told = str(tmp_path / f"clusters-{seed}.parquet")
        request = make_request(VIDEOS, NEAR + FAR, num_videos=3, frames_per_video=1, seed=seed, clusters_to=told)
        picks = run_strategy("clusters", {}, request).picks
        assert picks["cluster"].to_pylist().count(0) == 2
        assert sorted(picks["quota"].to_pylist()) == [1, 2, 2]
        drawn.add(tuple(sorted(picks["video_id"].to_pylist())))
    assert len(drawn) > 10  # by uncertainty it would be one
    clusters = read_table(told, CLUSTERS_SCHEMA)
    assert np.bincount(clusters["cluster"].to_numpy()).tolist() == [8, 4]


def test_classes_in_turns_and_random_videos_do_not_go_together():
    with pytest.raises(UserError, match=r"selection\.options\.inside: found 'random'"):
        ClusterVideos(inside="random", balance_classes=True)


def test_a_pool_of_which_nothing_could_be_scored_is_told():
    with pytest.raises(UserError, match="none of the videos could be scored"):
        run_strategy("clusters", {}, make_request([make_video("a")], [score_row("a", None, None, [])]))
