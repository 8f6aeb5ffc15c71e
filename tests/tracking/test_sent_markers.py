"""Oracle: the meaning of the marker, step by step."""

from pathlib import Path

from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking.run_reader import read_rounds
from hybridal_ray.tracking.sent_markers import mark_sent, round_contents, rounds_behind


def test_a_round_is_behind_until_all_it_has_is_marked_for_this_parent(run: Path, squares: Pool) -> None:
    root = str(run)
    records = read_rounds(root, squares)
    assert rounds_behind(root, records, "parent") == [0, 1]
    mark_sent(root, records[0], round_contents(root, records[0]), "parent", "child")
    assert rounds_behind(root, records, "parent") == [1]
    assert rounds_behind(root, records, None) == [1]
    assert rounds_behind(root, records, "another parent") == [0, 1]
    (run / "rounds/000/report").mkdir()
    (run / "rounds/000/report/latent_map.png").write_bytes(b"png")
    assert rounds_behind(root, records, "parent") == [0, 1]


def test_a_round_that_has_only_begun_has_nothing_to_send(tmp_path: Path, squares: Pool) -> None:
    (tmp_path / "rounds/000").mkdir(parents=True)
    assert rounds_behind(str(tmp_path), read_rounds(str(tmp_path), squares), "parent") == []
