"""Oracle: the rows that were written."""

import pyarrow as pa
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


def test_files_of_other_names_are_all_read(predictions, tmp_path):
    for name, rows in (("run.parquet", predictions.slice(0, 4)), ("run-2.parquet", predictions.slice(4))):
        pq.write_table(rows, tmp_path / name)
    assert sorted(map(str, rows_of(prediction_tables(str(tmp_path))))) == sorted(map(str, rows_of([predictions])))


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


def test_a_file_of_another_ending_is_told_from_a_directory(predictions, tmp_path):
    (tmp_path / "predictions.json").write_text("[]")
    with pytest.raises(UserError, match=r"predictions\.json: found a file, expected a name in \.parquet"):
        list(prediction_tables(str(tmp_path / "predictions.json")))
    (tmp_path / "parts.parquet").mkdir()
    pq.write_table(predictions, tmp_path / "parts.parquet" / "part-0.parquet")
    assert rows_of(prediction_tables(str(tmp_path / "parts.parquet"))) == rows_of([predictions])


@pytest.mark.parametrize("name", ["video_id", "tube_id", "frame", "x2"])
def test_a_missing_column_is_named(predictions, tmp_path, name):
    file = str(tmp_path / "less.parquet")
    pq.write_table(predictions.drop_columns(name), file)
    with pytest.raises(UserError, match=rf"less\.parquet: column '{name}' is missing, expected video_id, tube_id"):
        list(prediction_tables(file))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("video_id", pa.array([1, 2]), "is of type int64, expected text"),
        ("tube_id", pa.array([b"a", b"b"]), "is of type binary, expected text"),
        ("score", pa.array(["0.5", "0.6"]), "is of type string, expected numbers"),
        ("frame", pa.array(["0", "1"]), "is of type string, expected numbers"),
        ("video_id", pa.array(["v", None]), "has 1 nulls, expected none"),
        ("tube_id", pa.array([None, None], pa.string()), "has 2 nulls, expected none"),
        ("tube_score", pa.array([None, 0.5]), "has 1 nulls, expected none"),
        ("frame", pa.array([0, None]), "has 1 nulls, expected none"),
        ("frame", pa.array([0.5, 1.0]), "expected whole numbers"),
    ],
)
def test_a_column_of_another_kind_is_named(tmp_path, name, values, message):
    table = prediction_table(perfect([truth_row(0), truth_row(1)]))
    file = str(tmp_path / "odd.parquet")
    pq.write_table(table.set_column(table.column_names.index(name), name, values), file)
    with pytest.raises(UserError, match=rf"odd\.parquet: column '{name}'.*{message}") as caught:
        list(prediction_tables(file))
    assert "\n" not in str(caught.value)


def test_a_column_that_is_there_twice_is_named(predictions, tmp_path):
    file = str(tmp_path / "twice.parquet")
    pq.write_table(predictions.append_column("score", predictions["score"]), file)
    with pytest.raises(UserError, match=r"twice\.parquet: column 'score' is there 2 times, expected once"):
        list(prediction_tables(file))


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_other_widths_of_text_and_numbers_are_read(predictions, tmp_path, text):
    """As pandas and polars write them: large strings, 64 bits, whole numbers as floats."""
    wide = {"video_id": text, "tube_id": text, "frame": pa.float64(), "class_id": pa.int64(), "x1": pa.float64()}
    schema = pa.schema([(field.name, wide.get(field.name, field.type)) for field in predictions.schema])
    file = str(tmp_path / "wide.parquet")
    pq.write_table(predictions.cast(schema), file)
    assert rows_of(prediction_tables(file)) == rows_of([predictions])
    truth = truth_table(random_tables(7)[1])
    expected = evaluate_predictions(predictions, truth, VIDEOS, CLASSES)
    assert evaluate_predictions(prediction_tables(file), truth, VIDEOS, CLASSES) == expected


def test_rows_of_other_videos_alone_are_refused_and_no_rows_are_not(tmp_path):
    truth, file = truth_table([truth_row(0)]), str(tmp_path / "predictions.parquet")
    pq.write_table(prediction_table(perfect([truth_row(0, video="elsewhere")])), file)
    with pytest.raises(UserError, match=r"other videos than the 1 evaluated: found 'elsewhere', expected such as 'v'"):
        evaluate_predictions(prediction_tables(file), truth, ["v"], CLASSES)
    pq.write_table(prediction_table([]), file)
    assert evaluate_predictions(prediction_tables(file), truth, ["v"], CLASSES)["frame_map@0.5"] == 0
