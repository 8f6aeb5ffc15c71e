"""Oracles: selections worked out by hand, a selection with the pool in memory, and properties of any selection."""

import dataclasses
import os
import tempfile
import tracemalloc
from collections.abc import Iterator, Sequence
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_memory_claus import select_in_memory
from made_up_pools import RELAXED, make_request, make_video, requests, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import CLUSTERS_SCHEMA, SCORES_SCHEMA
from hybridal_ray.pool.table_files import read_table
from hybridal_ray.selection.claus import Claus
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.score_batches import ScoreTable
from hybridal_ray.selection.strategies import build_strategy

# Six videos near centre 0, three near centre 10; the score of each is in its name.
NEAR = [score_row(f"near-{score}", score / 10, [1.0], [score, 0]) for score in (1, 2, 3, 4, 5, 6)]
FAR = [score_row(f"far-{score}", score / 10, [9.0], [score, 0]) for score in (7, 8, 9)]
VIDEOS = [make_video(row["video_id"]) for row in NEAR + FAR]


def select_with_clusters(strategy: Claus, request: SelectionRequest) -> tuple[pa.Table, dict[str, int]]:
    """The picks, and the cluster of every video as it was written down."""
    with tempfile.TemporaryDirectory() as folder:
        location = f"{folder}/deeper/clusters.parquet"
        picks = strategy.select(dataclasses.replace(request, clusters_to=location)).picks
        clusters = read_table(location, CLUSTERS_SCHEMA)
        assert os.listdir(f"{folder}/deeper") == ["clusters.parquet"]
    return picks, dict(zip(clusters["video_id"].to_pylist(), clusters["cluster"].to_pylist(), strict=True))


def bought_videos(picks: pa.Table) -> list[str]:
    return list(dict.fromkeys(picks["video_id"].to_pylist()))


def test_clusters_share_in_proportion_and_give_their_most_uncertain():
    selection = Claus().select(make_request(VIDEOS, NEAR + FAR, num_videos=3))
    # The far videos score higher throughout, but their cluster is a third of the pool: one video in three.
    assert bought_videos(selection.picks) == ["near-6", "far-9", "near-5"]
    assert selection.picks["frame"].to_pylist() == [6, 0, 9, 0, 5, 0]
    assert selection.picks["cluster"].to_pylist() == [0, 0, 1, 1, 0, 0]
    assert selection.picks["quota"].to_pylist() == [2, 2, 1, 1, 2, 2]
    assert selection.picks["uncertainty"].to_pylist() == [6.5, 0.5, 9.5, 0.5, 5.5, 0.5]
    assert selection.picks["proximity_penalty"].to_pylist() == [0.06, 0.0, 0.09, 0.0, 0.05, 0.0]
    assert selection.picks["video_score"].to_pylist() == [0.6, 0.6, 0.9, 0.9, 0.5, 0.5]


def test_the_cluster_of_every_video_is_told():
    _, clusters = select_with_clusters(Claus(), make_request(VIDEOS, NEAR + FAR, labelled={"near-1": [0]}))
    assert list(clusters) == sorted(clusters)
    assert clusters == {row["video_id"]: 0 for row in NEAR} | {row["video_id"]: 1 for row in FAR}


def test_labelled_videos_count_in_the_size_of_their_cluster_but_are_not_bought():
    labelled = {f"near-{score}": [0] for score in (3, 4, 5, 6)}
    picks = Claus().select(make_request(VIDEOS, NEAR + FAR, labelled=labelled, num_videos=3)).picks
    # By unlabelled videos alone (2 near, 3 far) the far cluster would get two.
    assert bought_videos(picks) == ["near-2", "far-9", "near-1"]


def test_what_an_exhausted_cluster_cannot_use_goes_to_the_others():
    labelled = {f"near-{score}": [0] for score in (2, 3, 4, 5, 6)}
    picks = Claus().select(make_request(VIDEOS, NEAR + FAR, labelled=labelled, num_videos=3)).picks
    assert sorted(bought_videos(picks)) == ["far-8", "far-9", "near-1"]


def test_revisited_videos_are_chosen_the_same_way_and_keep_their_labels():
    labelled = {"near-6": [6], "near-5": [], "far-9": [9, 0]}
    picks = Claus().select(make_request(VIDEOS, NEAR + FAR, labelled=labelled, revisit_fraction=0.5)).picks
    # Two of three are to be revisited, but far-9 has no frame left: near-6, with the frame that is free, and two new.
    assert bought_videos(picks) == ["near-5", "near-6", "far-8"]
    assert [row["frame"] for row in picks.to_pylist() if row["video_id"] == "near-6"] == [0]


def test_videos_that_could_not_be_scored_are_never_bought():
    rows = [*NEAR, score_row("broken", None, None, [])]
    request = make_request([*VIDEOS, make_video("broken")], rows, num_videos=100)
    picks, clusters = select_with_clusters(Claus(), request)
    assert sorted(bought_videos(picks)) == sorted(row["video_id"] for row in NEAR)
    assert "broken" not in clusters


def test_the_videos_need_not_be_told():
    told = make_request(VIDEOS, NEAR + FAR)
    assert not Claus().needs_videos
    assert Claus(frames="random").needs_videos
    assert Claus().select(dataclasses.replace(told, videos=())) == Claus().select(told)


@RELAXED
@given(requests(), st.sampled_from([1, 2, 3, 1000]), st.sampled_from([3, None]))
def test_the_stream_selects_what_a_table_in_memory_would(request, rows_at_once, clusters):
    with (
        mock.patch.multiple("hybridal_ray.selection.claus", ROWS_AT_ONCE=rows_at_once),
        mock.patch.multiple("hybridal_ray.selection.latents", ROWS_AT_ONCE=rows_at_once),
        mock.patch.multiple("hybridal_ray.selection.best_videos", FEWEST_WAITING=rows_at_once),
    ):
        found = select_with_clusters(Claus(clusters=clusters, restarts=1), request)
    assert found == select_in_memory(request, clusters, 1)


def test_equal_scores_go_by_video_id():
    rows = [score_row(name, 1.0, [0.0], [0]) for name in ("c", "a", "b")]
    picks = Claus().select(make_request([make_video(row["video_id"]) for row in rows], rows, num_videos=2)).picks
    assert bought_videos(picks) == ["a", "b"]


def test_k_means_finds_the_clusters_where_the_checkpoint_holds_no_centres():
    with_centres = make_request(VIDEOS, NEAR + FAR)
    without = dataclasses.replace(with_centres, centres=None)
    assert Claus(clusters=2).select(without) == Claus().select(with_centres)


def test_without_centres_there_are_as_many_clusters_as_the_configuration_asks_for():
    request = make_request(VIDEOS, NEAR + FAR, centres=None, clusters=2)
    assert Claus().select(request) == Claus(clusters=2).select(request)


def test_a_number_of_clusters_asks_for_those_of_the_pool_whatever_the_checkpoint_holds():
    request = make_request(VIDEOS, NEAR + FAR, centres=np.array([[100.0], [200.0]]))
    _, of_detector = select_with_clusters(Claus(), request)
    _, of_pool = select_with_clusters(Claus(clusters=2), request)
    assert set(of_detector.values()) == {0}
    assert of_pool == {name: int(name.startswith("far")) for name in of_pool}


class LargePool:
    """Scores that are made while they are asked for; notes what is held in memory at every batch.

    Attributes:
        held: Bytes of Arrow, Python and NumPy together.
    """

    def __init__(self, num_batches: int, width: int = 64) -> None:
        self.held: list[int] = []
        self._num_batches = num_batches
        self._width = width

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        rng = np.random.default_rng(0)
        for number in range(self._num_batches):
            names = [f"v{index:07d}" for index in range(number * rows, (number + 1) * rows)]
            lists = {
                "frames": np.zeros((rows, 1), np.int32),
                "frame_scores": rng.normal(size=(rows, 1)),
                "frame_penalties": np.zeros((rows, 1)),
                "latent": rng.normal(size=(rows, self._width)).astype(np.float32),
            }
            made = {name: pa.FixedSizeListArray.from_arrays(a.ravel(), a.shape[1]) for name, a in lists.items()}
            made |= {"video_id": pa.array(names), "video_score": pa.array(rng.normal(size=rows))}
            del lists, names
            table = pa.table([made[name] for name in columns], names=list(columns))
            yield table.cast(pa.schema([SCORES_SCHEMA.field(name) for name in columns]))
            self.held.append(pa.total_allocated_bytes() + tracemalloc.get_traced_memory()[0])


@pytest.mark.parametrize("centres", [None, np.eye(5, 64)])
def test_what_is_held_does_not_grow_with_the_pool(centres, tmp_path):
    pool = LargePool(num_batches=30)
    request = make_request([], num_videos=10, centres=centres, memory_mib=1, clusters_to=str(tmp_path / "clusters"))
    tracemalloc.start()
    try:
        Claus(restarts=1).select(dataclasses.replace(request, scores=pool))
    finally:
        tracemalloc.stop()
    # The 30 batches are 35 MB, and each pass over them may hold two, what is allowed, and as much of what is sorted.
    assert max(pool.held) - min(pool.held) < 5 * 2**20


@RELAXED
@given(requests())
def test_a_selection_is_within_budget_and_free_of_answered_frames(request):
    picks = Claus(clusters=3, restarts=1).select(request).picks
    frames = list(zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True))
    assert len(set(frames)) == len(frames)
    assert all(frame not in request.taken_in(video_id) for video_id, frame in frames)
    assert picks["rank"].to_pylist() == list(range(len(frames)))
    assert len(bought_videos(picks)) <= request.num_videos
    assert all(picks["video_id"].to_pylist().count(name) <= request.frames_per_video for name in bought_videos(picks))
    if request.max_frames is not None:
        assert len(frames) <= request.max_frames


@RELAXED
@given(requests())
def test_as_many_videos_are_bought_as_there_are_to_buy(request):
    unbounded = dataclasses.replace(request, max_frames=None)
    candidates = [
        row["video_id"]
        for row in request.scores.table.to_pylist()
        if row["video_score"] is not None and set(row["frames"]) - set(request.taken_in(row["video_id"]))
    ]
    picks = Claus(clusters=3, restarts=1).select(unbounded).picks
    assert len(bought_videos(picks)) == min(request.num_videos, len(candidates))


@RELAXED
@given(requests())
def test_within_a_cluster_nothing_that_is_left_beats_what_was_bought(request):
    unbounded = dataclasses.replace(request, max_frames=None)
    picks, cluster_of = select_with_clusters(Claus(clusters=3, restarts=1), unbounded)
    bought = set(bought_videos(picks))
    candidates = [
        (cluster_of[row["video_id"]], bool(request.labelled.get(row["video_id"])), row["video_score"], row["video_id"])
        for row in request.scores.table.to_pylist()
        if row["video_score"] is not None and set(row["frames"]) - set(request.taken_in(row["video_id"]))
    ]
    for cluster, kind, score, video_id in candidates:
        if video_id not in bought:
            rivals = [rival for rival in candidates if rival[:2] == (cluster, kind) and rival[3] in bought]
            assert all((-rival[2], rival[3]) < (-score, video_id) for rival in rivals)


@RELAXED
@given(requests())
def test_the_order_of_the_rows_does_not_matter(request):
    rows = request.scores.table.to_pylist()[::-1]
    backwards = dataclasses.replace(
        request, videos=request.videos[::-1], scores=ScoreTable(pa.Table.from_pylist(rows, schema=SCORES_SCHEMA))
    )
    strategy = Claus(clusters=3, restarts=1)
    assert strategy.select(request) == strategy.select(backwards)


@RELAXED
@given(requests())
def test_a_smaller_bound_on_frames_buys_a_prefix(request):
    strategy = Claus(clusters=3, restarts=1)
    whole = strategy.select(dataclasses.replace(request, max_frames=None)).picks
    assert strategy.select(dataclasses.replace(request, max_frames=5)).picks == whole.slice(0, 5)


@pytest.mark.parametrize(
    "options",
    [{"clusters": 0}, {"clusters": 2.5}, {"clusters": True}, {"restarts": -1}, {"frames": "all"}],
)
def test_an_option_that_makes_no_sense_is_named(options):
    (name,) = options
    with pytest.raises(UserError, match=rf"selection\.options\.{name}"):
        build_strategy("claus", options)


@pytest.mark.parametrize("broken", [{"video_score": float("nan")}, {"latent": [float("inf")]}])
def test_a_diverged_detector_is_not_mistaken_for_a_certain_one(broken):
    with pytest.raises(UserError, match=r"near-1.*diverge"):
        Claus().select(make_request(VIDEOS, [NEAR[0] | broken, *NEAR[1:]]))


def test_a_pool_of_which_nothing_could_be_scored_is_told():
    with pytest.raises(UserError, match="none of the videos could be scored"):
        Claus().select(make_request([make_video("a")], [score_row("a", None, None, [])]))


@pytest.mark.parametrize(("rows", "message"), [(None, "needs scores"), ([NEAR[0], NEAR[0]], "twice")])
def test_scores_that_break_the_contract_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        Claus().select(make_request(VIDEOS, rows))
