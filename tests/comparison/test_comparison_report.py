"""The report in its forms. Oracle: the numbers of a small answer, found again in each of them."""

import base64
import dataclasses
import html
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_pool import begin_run
from tiny_comparisons import tiny_comparison

from hybridal_ray.comparison import figures
from hybridal_ray.comparison.answer import Question
from hybridal_ray.comparison.answering import answer
from hybridal_ray.comparison.comparison_file import FULL
from hybridal_ray.comparison.report import Report, render, report_on, report_on_runs, write
from hybridal_ray.comparison.results import Curve
from hybridal_ray.comparison.settings import differing_settings
from hybridal_ray.comparison.work import plan_runs
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

METRIC = "act/video_map@0.5"


def curve(arm: str, seed: int, values: tuple[float, ...], frames: tuple[int, ...] = (10, 20, 40)) -> Curve:
    percent = tuple(count / 10 for count in frames)
    return Curve(
        arm, seed, "finished", True, frames, percent, tuple(360.0 * count for count in frames), {METRIC: values}
    )


CURVES = (
    curve("random", 0, (0.1, 0.2, 0.3)),
    curve("random", 1, (0.2, 0.3, 0.4)),
    curve("<b>", 0, (0.1, 0.3, 0.5)),
    curve("<b>", 1, (0.2, 0.4, 0.62)),
    curve(FULL, 0, (0.5,), (1000,)),
)


@pytest.fixture(scope="module")
def report() -> Report:
    return render(answer(Question("small", ("random", "<b>"), (METRIC,), "random", (0.9,), (2.0,)), CURVES))


def cells(markdown: str, title: str) -> list[list[str]]:
    """The rows of the table below a title, its headings first."""
    section = markdown.split(f"### {title}\n")[1].split("###")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    assert re.fullmatch(r"[-: |]+", " ".join(rows[1]))
    return [rows[0], *rows[2:]]


def test_summary(report: Report) -> None:
    """Areas of random: 6.5/30 and 9.5/30; of the other: 10/30 and 13.2/30; gains 0.1167 and 0.1233, t(1) = 12.706."""
    heading, random, other, full = cells(report.markdown, f"{METRIC}: summary")

    assert heading[:4] == ["arm", "last value", "last value − random", "95 % interval"]
    assert heading[4:7] == ["area", "area − random", "95 % interval"]
    assert heading[7:] == ["pairs", "over frames", "of full supervision at 2 %", "seeds"]
    assert random == ["random", "0.350 ± 0.071", "–", "–", "0.267 ± 0.071", *["–"] * 4, "50.0 % ± 14.1", "2"]
    last = ["0.560 ± 0.085", "+0.210 *", "+0.083 … +0.337"]  # 0.2 and 0.22: 0.21 ± 12.706 · 0.01
    gain = ["+0.120 *", "+0.078 … +0.162", "2", "10 … 40"]
    assert other == ["<b>", *last, "0.387 ± 0.075", *gain, "70.0 % ± 14.1", "2"]
    assert full[:2] == ["full", "0.500"]


def test_at_equal_labour(report: Report) -> None:
    """A frame takes a tenth of an hour in both arms, so the gains are those at equal frames."""
    _, other = cells(report.markdown, f"{METRIC}: at equal labour")

    assert other == ["<b>", "+0.120 *", "+0.078 … +0.162", "2", "1.00 … 4.00"]


def test_labels_for_a_target(report: Report) -> None:
    """0.45 takes the other 35 and 20 + 20 · 0.05/0.22 frames, at a tenth of an hour each; random never has it."""
    _, random, other = cells(report.markdown, f"{METRIC}: labels that a share of full supervision takes")

    assert random == ["random", "90 %", "0.450", "not reached", "not reached", "–", "0 of 2"]
    assert other == ["<b>", "90 %", "0.450", "30 ± 7", "2.98 ± 0.74", "2.98", "2 of 2"]


def test_what_fewer_seeds_or_pairs_know_says_so() -> None:
    """Seed 1 of the other ends with 10 frames, below 2 %; of random there is seed 0 alone."""
    curves = [CURVES[0], CURVES[2], curve("<b>", 1, (0.2,), (10,)), CURVES[-1]]
    found = render(answer(Question("small", ("random", "<b>"), (METRIC,), "random", (0.9,), (2.0,)), curves))

    assert cells(found.markdown, f"{METRIC}: summary")[2][4:] == [
        "0.333 (1 of 2)", "+0.117", "–", "1", "10 … 40", "60.0 % (1 of 2)", "2",
    ]  # fmt: skip


def test_a_run_that_ends_before_the_others_is_named() -> None:
    curves = [CURVES[0], curve("random", 1, (0.2, 0.3), (10, 20))]
    found = render(answer(Question("small", ("random",), (METRIC,), "random"), curves))

    assert "from 10 to 20 labelled frames, where random-1 ends before others, of" in found.markdown


def test_a_target_that_only_some_seeds_reach_is_a_lower_bound() -> None:
    """Seed 0 has 40 frames and is not there, seed 1 is after 35: 37.5 or more."""
    curves = [curve("random", 0, (0.1, 0.2, 0.3)), curve("random", 1, (0.2, 0.3, 0.5)), CURVES[-1]]
    found = render(answer(Question("small", ("random",), (METRIC,), "random", (0.9,)), curves))

    assert cells(found.markdown, f"{METRIC}: labels that a share of full supervision takes")[1][3:] == [
        "≥ 38", "≥ 3.75", "≥ 3.75", "1 of 2",
    ]  # fmt: skip


def test_the_last_value_is_of_all_finished_runs_each_at_its_own_end() -> None:
    """One of three seeds gets to round 2, at 0.9; the others have ended at 0.2: (0.9 + 0.2 + 0.2) / 3."""
    ends = [curve("random", seed, (0.1, 0.2), (10, 20)) for seed in (1, 2)]
    curves = [curve("random", 0, (0.1, 0.2, 0.9)), *ends]
    found = render(answer(Question("small", ("random",), (METRIC,), "random"), curves))

    (row,) = cells(found.markdown, f"{METRIC}: summary")[1:]
    assert (row[1], row[-1]) == ("0.433 ± 0.404", "3")


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags, self.links, self.text = [], [], []

    def handle_starttag(self, tag, attributes) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data) -> None:
        self.text.append(data)


def test_the_page_holds_everything_and_loads_nothing(report: Report) -> None:
    page = _Page()
    page.feed(report.files["comparison.html"].decode())

    assert not {"script", "link", "iframe", "b"} & set(page.tags)
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    images = [base64.b64decode(link.partition(",")[2]) for link in page.links]
    assert images == [content for name, content in report.files.items() if name.endswith(".png")]
    assert all(image.startswith(b"\x89PNG") for image in images)
    for value in ("+0.120 *", "+0.078 … +0.162", "not reached", "<b>"):
        assert value in page.text


def test_arms_are_told_apart_and_so_is_the_code_they_ran() -> None:
    settings = differing_settings(
        {"random": {"strategy": "random", "rounds": 3}, "<b>": {"strategy": "claus", "rounds": 3}}
    )
    coded = [dataclasses.replace(each, code="abc" if each.seed == 0 else "def") for each in CURVES]
    found = render(answer(Question("small", ("random", "<b>"), (METRIC,), "random", settings=settings), coded))

    assert cells(found.markdown, "Arms")[1:] == [["random", "strategy=random"], ["<b>", "strategy=claus"]]
    told = "revisions of the code, which may count too: random-0, <b>-0, full-0 by abc; random-1, <b>-1 by def."
    assert told in found.markdown
    assert html.escape(told) in found.files["comparison.html"].decode()
    assert render(answer(found.answer.question, CURVES)).answer.warnings == []


def test_files(report: Report, tmp_path: Path) -> None:
    write(report, str(tmp_path))

    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*")} == {
        "comparison.md", "comparison.json", "comparison.html", "figures/act_video_map_at_0.5-frames.png",
        "figures/act_video_map_at_0.5-labour.png", "figures/act_video_map_at_0.5-areas.png",
    }  # fmt: skip
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert found["metrics"][METRIC]["arms"]["<b>"]["area"]["mean"] == pytest.approx((10 + 13.2) / 60)
    assert found["curves"][0]["values"][METRIC] == [0.1, 0.2, 0.3]


def test_equal_answers_give_equal_bytes(report: Report) -> None:
    assert render(report.answer).files == report.files


def test_nothing_begun(tmp_path: Path) -> None:
    comparison = tiny_comparison(tmp_path)
    report = report_on(comparison, plan_runs(comparison), {"claus-1": "the pool is gone"})

    assert {row[0]: row[1] for row in cells(report.markdown, "Runs")[1:]} == {
        "random-0": "not begun", "claus-0": "not begun", "random-1": "not begun", "claus-1": "failed: the pool is gone",
    }  # fmt: skip
    assert (tmp_path / "comparisons/tiny/comparison.html").exists()


def test_what_a_failure_says_does_not_break_the_table(tmp_path: Path) -> None:
    comparison = tiny_comparison(tmp_path)
    report = report_on(comparison, plan_runs(comparison), {"claus-1": "expected a|b,\nfound:\r\n  c"})

    assert "| claus-1 | failed: expected a\\|b, found: c | 0 | 0 |" in report.markdown.splitlines()


def test_existing_runs_side_by_side(tmp_path: Path) -> None:
    for name in ("one", "two"):
        _, store = begin_run(tmp_path / name)
        stage = store.stage(0, "evaluate")
        (Path(store.root) / "rounds/000/evaluate").mkdir(parents=True)
        (Path(store.root) / "rounds/000/evaluate/metrics.json").write_text(json.dumps({"frame_map@0.5": 0.25}))
        stage.finish({"seconds": 1.0})
    roots = [str(tmp_path / name / "runs/small") for name in ("one", "two")]

    states = dict(zip(roots, ("finished after 2 rounds", "round 1, next stage: train"), strict=True))
    report = report_on_runs(roots, ["frame_map@0.5"], states.__getitem__)

    assert [(curve.state, curve.finished) for curve in report.answer.curves] == [
        ("finished after 2 rounds", True),
        ("round 1, next stage: train", False),
    ]
    assert report.answer.question.arms == tuple(roots)  # their last parts are the same
    assert [curve.values["frame_map@0.5"] for curve in report.answer.curves] == [(0.25,), (0.25,)]
    # One round spans no range of budgets, so there is no area; what is finished has a last value all the same.
    rows = cells(report.markdown, "frame_map@0.5: summary")[1:]
    assert [(row[1], row[-1]) for row in rows] == [("0.250", "1"), ("–", "0")]


def evaluated_run(root: Path, **changes: Any) -> str:
    """A run with one evaluated round."""
    _, store = begin_run(root, **changes)
    storage.write_json(f"{store.root}/rounds/000/evaluate/metrics.json", {"frame_map@0.5": 0.25})
    store.stage(0, "evaluate").finish({"seconds": 1.0})
    return store.root


def test_runs_on_different_splits_are_not_set_side_by_side(tmp_path: Path) -> None:
    test = evaluated_run(tmp_path / "test")
    val = evaluated_run(tmp_path / "val", evaluation={"split": "val"})
    message = f"^{val}: evaluation.split is 'val', expected 'test' as in {test}: figures of different splits"
    with pytest.raises(UserError, match=message):
        report_on_runs([test, val], ["frame_map@0.5"], lambda _: "finished")


def test_runs_of_a_seed_on_different_pools_are_told(tmp_path: Path) -> None:
    """In each form of the report; on other seeds pools may differ, as the seeds of a comparison are meant to."""
    one, two = (evaluated_run(tmp_path / name) for name in ("one", "two"))
    config = Path(two, "config.yaml")
    own = yaml.safe_load(config.read_text())["pool_identity"]
    assert report_on_runs([one, two], ["frame_map@0.5"], lambda _: "finished").answer.warnings == []
    config.write_text(config.read_text().replace(own, "another0pool0000"))
    report = report_on_runs([one, two], ["frame_map@0.5"], lambda _: "finished")
    (warning,) = report.answer.warnings

    assert warning.endswith(f": {one} on {own}; {two} on another0pool0000.")
    assert f"**{warning}**" in report.markdown
    assert all(warning in report.files[f"comparison.{form}"].decode() for form in ("html", "json"))
    curves = [dataclasses.replace(curve, seed=seed) for seed, curve in enumerate(report.answer.curves)]
    assert dataclasses.replace(report.answer, curves=curves).warnings == []


def test_figures_name_the_split_that_they_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    titles = []
    monkeypatch.setattr(figures, "to_png", lambda draw: titles.append(draw().axes[0].get_title()))
    on_val = [dataclasses.replace(each, split="val") for each in CURVES]
    figures.figures_of(answer(Question("small", ("random", "<b>"), (METRIC,), "random"), on_val))

    assert titles[:2] == [f"{METRIC} on the val split, mean ± standard deviation over seeds"] * 2


def test_a_run_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run is there"):
        report_on_runs([str(tmp_path / "gone")], ["frame_map@0.5"], lambda _: "finished")


def test_a_run_named_twice_is_no_second_seed(tmp_path: Path) -> None:
    one, other = f"{tmp_path}/one", f"{tmp_path}/one/../one/"
    with pytest.raises(UserError, match=r"one/: the run is named twice \(as .*/one\), expected different runs"):
        report_on_runs([one, other], ["frame_map@0.5"], lambda _: "finished")
    with pytest.raises(UserError, match=r"s3://b/one: the run is named twice, expected different runs"):
        report_on_runs(["s3://b/one"] * 2, ["frame_map@0.5"], lambda _: "finished")
