"""The command at the terminal: which of its forms is meant, what it prints, how it ends."""

import json
from pathlib import Path

import yaml
from small_pool import begin_run, small_settings, write_small_pool


def write_file(folder: Path) -> Path:
    """A comparison whose only arm cannot run, for its videos are not there."""
    write_small_pool(folder / "pool")
    (folder / "small.yaml").write_text(yaml.safe_dump(small_settings(folder)))
    file = folder / "mine.yaml"
    tree = {"root": str(folder), "config": "small.yaml", "ray": False, "seeds": 1, "arms": {"random": {}}}
    file.write_text(yaml.safe_dump(tree))
    return file


def evaluated(folder: Path, value: float) -> str:
    """A run with one evaluated round."""
    _, store = begin_run(folder)
    evaluation = Path(store.root) / "rounds/000/evaluate"
    evaluation.mkdir(parents=True)
    (evaluation / "metrics.json").write_text(json.dumps({"frame_map@0.5": value, "act/frame_map@0.5": value / 2}))
    store.stage(0, "evaluate").finish({"seconds": 1.0})
    return store.root


def test_report_only_runs_nothing(hybridal, tmp_path: Path) -> None:
    code, out, _ = hybridal("compare", write_file(tmp_path), "--report-only", "seeds=2")

    assert code == 0
    assert "| random-1 | not begun | 0 | 0 |" in out
    assert not (tmp_path / "comparisons/mine/runs").exists()


def test_a_failed_run_is_told_by_the_exit_code_too(hybridal, tmp_path: Path) -> None:
    code, out, err = hybridal("compare", write_file(tmp_path), "--json")

    (curve,) = json.loads(out)["curves"]
    assert code == 1
    assert curve["state"].startswith("failed: ")
    assert "random-0: failed: " in err


def test_runs_side_by_side(hybridal, tmp_path: Path) -> None:
    one, two = (evaluated(tmp_path / name, value) for name, value in (("a", 0.25), ("b", 0.5)))
    code, out, _ = hybridal("compare", one, two, "--json", "--metric", "act/frame_map@0.5", "--out", tmp_path / "out")

    found = json.loads(out)
    assert code == 0
    assert [curve["values"]["act/frame_map@0.5"] for curve in found["curves"]] == [[0.125], [0.25]]
    assert [(curve["state"], curve["finished"]) for curve in found["curves"]] == [
        ("start, next stage: label", False)
    ] * 2
    assert (tmp_path / "out/comparison.html").exists()


def test_what_does_not_fit_together_is_refused(hybridal, tmp_path: Path) -> None:
    code, _, err = hybridal("compare", tmp_path / "run", "--report-only")
    assert (code, "expected the file of a comparison" in err) == (2, True)

    code, _, err = hybridal("compare", write_file(tmp_path), "--metric", "video_map@0.5")
    assert (code, "--metric and --out are for existing runs" in err) == (2, True)


def test_a_misspelt_figure_is_refused_before_anything_is_read_or_runs(hybridal, tmp_path: Path) -> None:
    code, _, err = hybridal("compare", tmp_path / "a", tmp_path / "b", "--metric", "frame_mpa@0.5")
    assert (code, "--metric: no figure 'frame_mpa@0.5'" in err, "'frame_map@0.5'?" in err) == (2, True, True)

    code, _, err = hybridal("compare", write_file(tmp_path), "metrics=[foo]")
    assert (code, "metrics: no figure 'foo' is known" in err) == (2, True)
    assert not (tmp_path / "comparisons").exists()


def test_an_override_that_is_none(hybridal, tmp_path: Path) -> None:
    code, _, err = hybridal("compare", write_file(tmp_path), "seeds")
    assert (code, err) == (2, "hybridal: override 'seeds': expected dotted.key=value\n")
