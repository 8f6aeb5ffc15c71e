"""Oracle: the numbers that `synthetic_run` is known to have written, counted by hand."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from synthetic_run import FRAMES, LATENT, buy

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.cost import CostModel, spent_seconds
from hybridal_ray.pool import ledger, table_files
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking.run_reader import (
    evaluated_split,
    labelled_before,
    read_clusters,
    read_configuration,
    read_latents,
    read_predictions,
    read_rounds,
    read_selection,
)


def test_rounds_count_what_they_trained_on(finished_run: Path, squares: Pool) -> None:
    first, second = read_rounds(str(finished_run), squares)
    # 2 videos with 2 frames and 1 box each are bought a round, at 3 seconds a frame; 8 training videos of 12 frames.
    assert (first.labelled_videos, first.labelled_frames, first.boxes, first.labour_seconds) == (2, 4, 4, 12.0)
    assert (second.labelled_videos, second.labelled_frames, second.boxes, second.labour_seconds) == (4, 8, 8, 24.0)
    assert second.percent_of_pool_frames == pytest.approx(100 * 8 / (8 * FRAMES))
    assert list(first.stage_seconds.items()) == [
        ("train", 12.5), ("evaluate", 3.5), ("score", 5.5), ("select", 0.5), ("label", 0.1)
    ]  # fmt: skip
    assert "label" not in second.stage_seconds
    assert first.metrics["frame_map@0.5"] == pytest.approx(0.8 * 0.4)
    assert len(first.history) == 20


def test_a_frame_labelled_twice_counts_once_but_is_paid_twice(run: Path, squares: Pool) -> None:
    again = ledger.read(str(run)).slice(0, 1)
    ledger.append(str(run), "round-000-correction", again)
    first = read_rounds(str(run), squares)[0]
    assert (first.labelled_frames, first.labour_seconds) == (4, 15.0)


COSTS = {"seconds_per_video": 10, "seconds_per_frame": 3, "seconds_per_box": 12}


def rewritten(run: Path, seconds: list[float | None], **columns: str) -> None:
    """The purchase of the first round again, by people, with other seconds and some columns of one value each."""
    configuration = {"oracle": {"name": "files", **COSTS}}
    (run / "config.yaml").write_text(yaml.safe_dump(configuration))
    rows = ledger.read(str(run)).slice(0, 4).to_pylist()
    told = [{**row, **columns, "seconds": each} for row, each in zip(rows, seconds, strict=True)]
    ledger.append(str(run), "round-000", pa.Table.from_pylist(told, ledger.LABELS_SCHEMA))


def test_answers_that_tell_no_time_count_as_budgets_count_them(run: Path, squares: Pool) -> None:
    """Two frames of two videos, a box each: opening costs 10, a frame 3, a box 12. Two answers tell 20 s and 5 s."""
    (run / "labels/round-001.parquet").unlink()
    rewritten(run, [20.0, None, None, 5.0])
    first = read_rounds(str(run), squares)[0]
    assert first.labour_seconds == 20 + (3 + 12) + (10 + 3 + 12) + 5
    assert first.labour_seconds == spent_seconds(ledger.read(str(run)), CostModel(**COSTS))
    rewritten(run, [None] * 4)
    assert read_rounds(str(run), squares)[0].labour_seconds == 2 * (10 + 2 * (3 + 12))


def test_answers_that_tell_no_time_are_expected_to_take_as_long_as_those_that_do(run: Path, squares: Pool) -> None:
    """Four answers of a second purchase tell 7 s each, the first of a video 9 s: so a video is opened in 2 s."""
    rewritten(run, [None] * 4)
    timed = [row | {"seconds": 9.0 if row["frame"] == 0 else 7.0} for row in ledger.read(str(run)).slice(4).to_pylist()]
    ledger.append(str(run), "round-001", pa.Table.from_pylist(timed, ledger.LABELS_SCHEMA))
    assert read_rounds(str(run), squares)[0].labour_seconds == pytest.approx(2 * 9 + 2 * 7)


def test_labels_that_the_pool_brought_along_are_no_labour(tmp_path: Path, squares: Pool) -> None:
    buy(tmp_path, squares, 0, 2)
    rewritten(tmp_path, [None] * 4, source=ledger.OWN_LABELS)
    (tmp_path / "rounds/000").mkdir(parents=True)
    assert read_rounds(str(tmp_path), squares)[0].labour_seconds is None


def test_a_round_under_way_shows_only_what_is_marked_as_done(run: Path, squares: Pool) -> None:
    (run / "rounds/001/evaluate.done.json").unlink()
    (run / "rounds/001/score.done.json").unlink()
    (run / "rounds/001/selection.parquet").unlink()
    second = read_rounds(str(run), squares)[1]
    assert second.metrics == {}
    assert read_predictions(str(run), 1) is None
    assert read_latents(str(run), 1) is None
    assert read_selection(str(run), 1) is None
    assert read_clusters(str(run), 7) is None


def test_no_round_has_begun(tmp_path: Path, squares: Pool) -> None:
    assert read_rounds(str(tmp_path), squares) == []


def test_latents_leave_out_videos_that_could_not_be_scored(finished_run: Path, squares: Pool) -> None:
    latents = read_latents(str(finished_run), 0)
    assert latents is not None
    scored = [video.video_id for video in squares.usable_videos("train")][:-1]
    assert list(latents.video_ids) == scored
    assert latents.values.shape == (len(scored), LATENT)
    assert latents.videos == len(scored)


def write_scores(run: Path, latents: dict[str, list[float]], videos_in_part: int) -> None:
    """In place of those of the first round."""
    folder = run / "rounds/000/scores"
    shutil.rmtree(folder)
    rows = [{**dict.fromkeys(SCORES_SCHEMA.names), "video_id": name, "latent": of} for name, of in latents.items()]
    for start in range(0, len(rows), videos_in_part):
        table = pa.Table.from_pylist(rows[start : start + videos_in_part], SCORES_SCHEMA)
        table_files.write_table(str(folder / f"part-{start:05d}.parquet"), table)


def test_of_many_latents_the_picked_and_a_sample_are_read_however_they_are_cut(run: Path) -> None:
    picks = read_selection(str(run), 0)
    assert picks is not None
    picked = sorted(set(picks["video_id"].to_pylist()))
    all_of_them = {f"v{index:03d}": [float(index), 0.5] for index in range(300)} | {name: [1.0, 2.0] for name in picked}
    read = []
    for names, videos_in_part in ((list(all_of_them), 7), (sorted(all_of_them, reverse=True), 300)):
        write_scores(run, {name: all_of_them[name] for name in names}, videos_in_part)
        latents = read_latents(str(run), 0, most=20)
        assert latents is not None
        read.append(latents)
    assert read[0].video_ids == read[1].video_ids == tuple(sorted(read[0].video_ids))
    assert set(picked) <= set(read[0].video_ids)
    assert [all_of_them[name] for name in read[0].video_ids] == read[0].values.tolist() == read[1].values.tolist()
    assert (len(read[0].video_ids), read[0].videos) == (20, 300 + len(picked))
    places = [int(name[1:]) for name in read[0].video_ids if name not in picked]
    assert max(places) > 150 > min(places)  # from the whole pool, not its beginning


def test_rows_of_a_part_that_was_split_and_finished_all_the_same_are_read_once(run: Path) -> None:
    write_scores(run, {"a": [1.0], "b": [2.0]}, 2)
    part = run / "rounds/000/scores/part-00000.parquet"
    shutil.copy(part, part.with_name("part-00000-0001.parquet"))
    latents = read_latents(str(run), 0)
    assert latents is not None
    assert latents.video_ids == ("a", "b")


def test_labelled_before_grows_with_the_rounds(finished_run: Path) -> None:
    assert labelled_before(str(finished_run), 0) == {"video-00", "video-01"}
    assert labelled_before(str(finished_run), 1) == {"video-00", "video-01", "video-02", "video-03"}


def test_configuration(run: Path) -> None:
    assert read_configuration(str(run)) == {
        "pool": "squares", "budget": {"videos": 2, "frames": [1, 2]}, "seed": 0, "evaluation": {"split": "test"},
    }  # fmt: skip
    assert evaluated_split(read_configuration(str(run))) == "test"
    (run / "config.yaml").write_text("- a\n")
    with pytest.raises(UserError, match=r"config\.yaml: holds list, expected a mapping"):
        read_configuration(str(run))
