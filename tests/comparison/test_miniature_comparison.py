"""A whole comparison of two arms, two seeds and two rounds, disturbed and not. Oracle: the ordinary runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_comparisons import tiny_comparison, write_comparison

from hybridal_ray.comparison.comparing import compare, compare_so_far
from hybridal_ray.comparison.report import Report
from hybridal_ray.loop import run_loop

ARMS = {
    "random": {"overrides": {"selection.strategy": "random"}},
    "claus": {"overrides": {"selection.strategy": "claus"}},
}


def fields(pool: Path) -> dict:
    return {"overrides": {"pool.path": str(pool)}, "full": {"seeds": 1}, "arms": ARMS}


def outcome(directory: Path) -> dict[str, bytes]:
    """What the runs decided, paid for and reached, by name in the comparison."""
    runs = directory / "comparisons" / "tiny" / "runs"
    files = [*runs.glob("*/**/selection.parquet"), *runs.glob("*/labels/*"), *runs.glob("*/**/metrics.json")]
    return {str(file.relative_to(runs)): file.read_bytes() for file in sorted(files)}


@pytest.fixture(scope="module")
def undisturbed(comparison_pool: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report, list[str]]:
    folder, said = tmp_path_factory.mktemp("undisturbed"), []
    return folder, compare(tiny_comparison(folder, **fields(comparison_pool)), said.append), said


@pytest.mark.slow
def test_every_run_comes_to_its_end(undisturbed: tuple[Path, Report, list[str]]) -> None:
    _, report, _ = undisturbed

    assert [(curve.arm, curve.seed, curve.state) for curve in report.answer.curves] == [
        ("random", 0, "finished"), ("claus", 0, "finished"), ("full", 0, "finished"),
        ("random", 1, "finished"), ("claus", 1, "finished"),
    ]  # fmt: skip
    assert [len(curve.frames) for curve in report.answer.curves] == [2, 2, 1, 2, 2]


@pytest.mark.slow
def test_the_first_round_of_a_seed_is_the_same_for_all_arms(undisturbed: tuple[Path, Report, list[str]]) -> None:
    folder, report, _ = undisturbed
    runs = folder / "comparisons" / "tiny" / "runs"
    for name in ("labels/round-000.parquet", "rounds/000/train.done.json", "rounds/000/evaluate/metrics.json"):
        one, other = ((runs / f"{arm}-1" / name).read_bytes() for arm in ARMS)
        assert one == other, name
    gains = report.answer.metrics["frame_map@0.5"].arms["claus"].differences
    assert (gains[0].gain.mean, gains[0].gain.deviation) == (0.0, 0.0)


@pytest.mark.slow
def test_a_run_is_what_the_loop_alone_makes_of_it(
    undisturbed: tuple[Path, Report, list[str]], comparison_pool: Path, tmp_path: Path
) -> None:
    folder, _, _ = undisturbed
    config = tiny_comparison(folder, **fields(comparison_pool)).config_of("claus", 1)
    run_loop(config.model_copy(update={"run": str(tmp_path / "comparisons/tiny/runs/claus-1")}), say=lambda line: None)

    in_comparison = {name: content for name, content in outcome(folder).items() if name.startswith("claus-1/")}
    assert outcome(tmp_path) == in_comparison


@pytest.mark.slow
def test_what_is_finished_is_not_done_again(undisturbed: tuple[Path, Report, list[str]], comparison_pool: Path) -> None:
    folder, report, _ = undisturbed
    said: list[str] = []
    again = compare(tiny_comparison(folder, **fields(comparison_pool)), said.append)

    assert said == [f"tiny: 5 runs, 5 of them finished, in {folder}/comparisons/tiny"]
    assert again.files == report.files


@pytest.mark.slow
def test_the_report_can_be_made_again_from_the_runs(
    undisturbed: tuple[Path, Report, list[str]], comparison_pool: Path
) -> None:
    folder, report, _ = undisturbed
    directory = folder / "comparisons" / "tiny"
    for name in report.files:
        (directory / name).unlink()
    assert compare_so_far(tiny_comparison(folder, **fields(comparison_pool))).files == report.files
    assert all((directory / name).read_bytes() == content for name, content in report.files.items())


@pytest.mark.slow
def test_killed_at_any_time_it_goes_on_to_the_same_end(
    undisturbed: tuple[Path, Report, list[str]], comparison_pool: Path, tmp_path: Path
) -> None:
    folder, _, _ = undisturbed
    file = write_comparison(tmp_path, **fields(comparison_pool), seeds=1)
    program = Path(__file__).with_name("dying_comparisons.py")
    ended = subprocess.run(
        [sys.executable, str(program), str(file)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads(ended.stdout)) > 4
    assert outcome(tmp_path) == {name: content for name, content in outcome(folder).items() if "-0/" in name}
    assert not list(tmp_path.rglob(".*.partial"))


@pytest.mark.slow
def test_a_run_that_fails_is_named_and_the_others_go_on(comparison_pool: Path, tmp_path: Path) -> None:
    arms = {"random": ARMS["random"], "lost": {"overrides": {"selection.strategy": "nosuch"}}}
    settings = {**fields(comparison_pool), "full": None, "seeds": 1, "arms": arms}
    report = compare(tiny_comparison(tmp_path, **settings), lambda line: None)

    states = {curve.arm: curve.state for curve in report.answer.curves}
    assert states["random"] == "finished"
    assert states["lost"].startswith("failed: selection.strategy: no 'nosuch' is known")
    again = compare_so_far(tiny_comparison(tmp_path, **settings)).answer.curves
    assert states == {curve.arm: curve.state for curve in again}


@pytest.mark.slow
@pytest.mark.ray
def test_on_a_cluster_it_comes_to_the_same(
    undisturbed: tuple[Path, Report, list[str]], comparison_pool: Path, tmp_path: Path, ray_cluster: None
) -> None:
    folder, report, _ = undisturbed
    found = compare(tiny_comparison(tmp_path, **fields(comparison_pool), ray=True), lambda line: None)

    assert outcome(tmp_path) == outcome(folder)
    assert found.markdown == report.markdown
