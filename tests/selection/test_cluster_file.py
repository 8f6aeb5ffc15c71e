"""Oracle: the rows that were given."""

import numpy as np
import pyarrow as pa
import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import CLUSTERS_SCHEMA
from hybridal_ray.pool.table_files import read_table
from hybridal_ray.selection.cluster_file import BYTES_PER_VIDEO, cluster_rows

IDS = ["d", "a", "e", "c", "b"]


def write(location, videos_held):
    with cluster_rows(location, videos_held * BYTES_PER_VIDEO) as rows:
        for number, video_id in enumerate(IDS):
            rows.add(pa.chunked_array([[video_id]]), np.array([number]))


def write_and_diverge(location):
    with cluster_rows(location, BYTES_PER_VIDEO) as rows:
        rows.add(pa.chunked_array([["z"]]), np.array([0]))
        raise UserError("diverged")


def test_what_fits_in_memory_is_in_order_of_the_ids(tmp_path):
    write(f"{tmp_path}/run/clusters.parquet", videos_held=100)
    table = read_table(f"{tmp_path}/run/clusters.parquet")
    assert table.schema.equals(CLUSTERS_SCHEMA)
    assert table.to_pydict() == {"video_id": ["a", "b", "c", "d", "e"], "cluster": [1, 4, 3, 0, 2]}


def test_what_does_not_is_in_order_run_by_run(tmp_path):
    write(f"{tmp_path}/clusters.parquet", videos_held=3)
    assert read_table(f"{tmp_path}/clusters.parquet")["video_id"].to_pylist() == ["a", "d", "e", "b", "c"]


def test_an_error_leaves_the_former_file_and_nothing_beside_it(tmp_path):
    location = tmp_path / "clusters.parquet"
    write(str(location), videos_held=100)
    before = location.read_bytes()
    with pytest.raises(UserError, match="diverged"):
        write_and_diverge(str(location))
    assert location.read_bytes() == before
    assert list(tmp_path.iterdir()) == [location]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "run").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"run/clusters\.parquet: cannot be written"):
        write(f"{tmp_path}/run/clusters.parquet", videos_held=3)


def test_without_a_place_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(None, videos_held=1)
    assert list(tmp_path.iterdir()) == []
