"""Whole runs on scoring actors. Oracle: the run in one process, which knows no Ray."""

from pathlib import Path

import pytest
from tiny_runs import outcome, run_tiny, scores


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(("actors", "rounds"), [(1, 1), (3, 2)])
def test_number_of_actors_does_not_show(
    actors: int, rounds: int, undisturbed: Path, tiny_pool: Path, tmp_path: Path
) -> None:
    run, _ = run_tiny(tmp_path, tiny_pool, rounds=rounds, scoring__actors=actors, scoring__cpus_per_actor=0.5)
    decided = outcome(run)
    assert decided == {name: content for name, content in outcome(undisturbed).items() if name in decided}
    assert all(scores(run, index).equals(scores(undisturbed, index)) for index in range(rounds))
    assert (run / f"rounds/{rounds - 1:03d}/selection.parquet").exists()
