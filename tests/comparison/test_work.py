"""When a run counts as finished. Oracle: what its directory says, and what a person would expect of the next call."""

from pathlib import Path

from tiny_comparisons import tiny_comparison

from hybridal_ray.comparison.comparing import compare, compare_so_far


def test_a_run_that_waits_for_people_is_not_finished_and_is_gone_on_with(comparison_pool: Path, tmp_path: Path) -> None:
    """Five videos of three frames are asked for at the start; nobody answers, so each call comes as far as that."""
    overrides = {"pool.path": str(comparison_pool), "oracle.name": "files"}
    comparison, said = tiny_comparison(tmp_path, seeds=1, overrides=overrides), list[str]()
    waits = "waits for people: 0 of 15 frames answered, 15 answers open; request in "
    for _ in range(2):
        curves = compare(comparison, said.append).answer.curves
        assert [(curve.arm, curve.finished, curve.state.split("/")[0]) for curve in curves] == [
            ("random", False, waits), ("claus", False, waits),
        ]  # fmt: skip
    place = f"in {tmp_path}/comparisons/tiny"
    assert said == 2 * [
        f"tiny: 2 runs, 0 of them finished, {place}",
        *(f"{run}: {waits}{tmp_path}/comparisons/tiny/runs/{run}/start/request" for run in ("random-0", "claus-0")),
    ]
    assert compare_so_far(comparison).answer.curves == curves
