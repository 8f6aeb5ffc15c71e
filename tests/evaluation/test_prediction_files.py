"""Oracle: the rows that were written."""

import pyarrow.parquet as pq
import pytest
from evaluation_tables import CLASSES, perfect, prediction_table, random_tables, truth_row, truth_table

from hybridal_ray.errors import UserError
from hybridal_ray.evaluation import columns
from hybridal_ray.evaluation.metrics import evaluate_predictions
from hybridal_ray.evaluation.prediction_files import join_predictions, prediction_tables

VIDEOS = ("v0", "v1", "v2")


def rows_of(tables):
    return sorted(
        (tuple(row.items()) for table in tables for row in table.to_pylist()),
        key=repr,
    )


@pytest.fixture
def predictions():
    return prediction_table(random_tables(7)[0])


@pytest.mark.parametrize("by_video", [True, False])
@pytest.mark.parametrize("group", [3, 1000])
def test_every_row_comes_once_and_videos_whole(predictions, tmp_path, monkeypatch, by_video, group):
    monkeypatch.setattr("hybridal_ray.evaluation.prediction_files.ROWS_AT_ONCE", 10)
    table = predictions.sort_by("video_id") if by_video else predictions
    file = str(tmp_path / "predictions.parquet")
    pq.write_table(table, file, row_group_size=group)
    found = list(prediction_tables(file))
    assert rows_of(found) == rows_of([table])
    videos = [video for each in found for video in set(each["video_id"].to_pylist())]
    assert len(videos) == len(set(videos))
    if by_video and group == 3:
        assert len(found) > 1


@pytest.mark.parametrize("rows", [1, 20, 10**6])
def test_figures_do_not_depend_on_portions(tmp_path, monkeypatch, rows):
    said, truth = random_tables(5)
    expected = evaluate_predictions(prediction_table(said), truth_table(truth), VIDEOS, CLASSES)
    monkeypatch.setattr(columns, "ROWS_AT_ONCE", rows)
    parts = [prediction_table([row for row in said if row["video_id"] == video]) for video in VIDEOS[::-1]]
    assert evaluate_predictions(parts, truth_table(truth), VIDEOS, CLASSES) == expected


def test_parts_are_joined_and_a_chunk_that_was_split_counts_once(predictions, tmp_path):
    pq.write_table(predictions, tmp_path / "part-00000.parquet")
    pq.write_table(predictions.slice(0, 4), tmp_path / "part-00000-0001.parquet")
    joined = str(tmp_path / "out" / "all.parquet")
    assert join_predictions(str(tmp_path), joined) == len(predictions)
    assert rows_of(prediction_tables(joined)) == rows_of([predictions])


def test_what_is_wrong_is_told(predictions, tmp_path):
    with pytest.raises(UserError, match="no predictions are there"):
        list(prediction_tables(str(tmp_path)))
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(UserError, match=r"torn\.parquet: cannot be read as Parquet"):
        list(prediction_tables(str(tmp_path / "torn.parquet")))
    pq.write_table(predictions.drop_columns("score"), tmp_path / "less.parquet")
    with pytest.raises(UserError, match="column 'score' is missing"):
        list(prediction_tables(str(tmp_path / "less.parquet")))
    twice = [prediction_table(perfect([truth_row(0)]))] * 2
    with pytest.raises(UserError, match="video 'v' is in two parts"):
        evaluate_predictions(twice, truth_table([truth_row(0)]), ["v"], CLASSES)
