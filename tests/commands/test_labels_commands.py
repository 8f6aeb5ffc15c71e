"""``hybridal labels`` on a run that waits for an answer. Oracle: the ledger, read by itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_pool import begin_run

from hybridal_ray.label_intake import requests_of
from hybridal_ray.oracles.files import FileOracle
from hybridal_ray.pool import ledger
from hybridal_ray.requests.request import AskedFrame, AskedVideo, Request, task_name, write_description
from hybridal_ray.run_store import RunStore

ID = "0123456789ab"
BOX = {"class": "wave", "x1": 1, "y1": 2, "x2": 30, "y2": 40}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run on the small pool that asks for frames 2 and 5 of ``v0``."""
    _, store = begin_run(tmp_path, oracle={"name": "files"})
    directory = Path(store.root) / "start" / "request"
    frames = tuple(
        AskedFrame(task_name(ID, rank), "v0", frame, frame / 25, "i.png", "c.mp4", 0, 1, {}, None)
        for rank, frame in enumerate((2, 5))
    )
    video = AskedVideo("v0", "v0.mp4", 10, 25.0, 64, 48, (), ())
    write_description(Request(ID, store.root, 0, ("wave", "kick"), {"v0": video}, frames, (), str(directory), "0" * 32))
    return Path(store.root)


def answers(file: Path, *told: dict[str, Any]) -> Path:
    file.write_text(json.dumps({"answers": [{"task": task_name(ID, 0), "boxes": [BOX]} | one for one in told]}))
    return file


def test_answers_come_in_and_the_bad_one_is_named(hybridal, run: Path, tmp_path: Path) -> None:
    file = answers(
        tmp_path / "f.json", {"annotator": "anna"}, {"task": task_name(ID, 1), "boxes": [BOX | {"class": "x"}]}
    )
    code, out, err = hybridal("labels", "import", run, file)
    assert (code, err) == (0, "")
    assert f"{file}: 1 added" in out
    assert f"rejected: {file}: answer 1: boxes[0].class: found 'x', expected one of wave, kick" in out
    assert f"request {ID}: 1 of 2 frames answered, 1 answers open" in out
    assert len(ledger.read(str(run))) == 1
    (kept,) = (run / "rejected").iterdir()
    assert json.loads(kept.read_text())[0]["content"]["task"] == task_name(ID, 1)
    assert "round 0 waits for people: 1 of 2 frames answered" in hybridal("status", run)[1]

    waits_for = json.loads(hybridal("status", run, "--json")[1])["waits_for"]
    assert (waits_for["request"], waits_for["answered"], waits_for["answers_open"]) == (ID, 1, 1)

    hybridal("labels", "import", run, answers(tmp_path / "g.json", {"task": task_name(ID, 1), "annotator": "anna"}))
    assert "round 0: 2 of 2 frames answered, 0 answers open; start the run again" in hybridal("status", run)[1]

    assert "0 added, 1 duplicates" in hybridal("labels", "import", run, file)[1]
    assert len(list((run / "rejected").iterdir())) == 1


def test_there_is_nothing_to_pull_where_nobody_is_asked(hybridal, tmp_path: Path) -> None:
    _, store = begin_run(tmp_path)
    code, _, err = hybridal("labels", "pull", store.root)
    assert code == 2
    assert "oracle.name is 'simulated', which asks nobody: there is nothing to fetch" in err


def test_a_number_beyond_all_measure_does_not_stop_the_others(hybridal, run: Path, tmp_path: Path) -> None:
    file = answers(tmp_path / "f.json", {"seconds": 10**400}, {"task": task_name(ID, 1)})
    code, out, _ = hybridal("labels", "import", run, file)
    assert code == 0
    assert f"{file}: 1 added" in out
    assert "answer 0: seconds: found 1000" in out


def test_half_a_character_does_not_stop_the_others(hybridal, run: Path, tmp_path: Path) -> None:
    file = answers(tmp_path / "f.json", {"annotator": "anna \ud83d"}, {"task": task_name(ID, 1)})
    code, out, _ = hybridal("labels", "import", run, file)
    assert code == 0
    assert f"{file}: 1 added" in out
    assert r"answer 0: annotator: found 'anna \ud83d', expected a name of whole characters" in out


def test_what_comes_too_late_and_what_is_odd_have_a_line_each(hybridal, run: Path, tmp_path: Path) -> None:
    """Oracle: the answer of the second of February stands; nobody worked on the other frame for three days."""
    for name, day in (("f.json", 2), ("g.json", 1)):
        file = answers(tmp_path / name, {"annotator": f"of {day}", "answered_at": f"2026-02-0{day}T12:00:00Z"})
        out = hybridal("labels", "import", run, file)[1]
    assert "  outdated: " in out
    assert "frame 2: is older than the answer of of 2 of 2026-02-02 12:00; it is kept and does not count" in out
    done = {"id": 3, "completed_by": 1, "lead_time": 250000.0, "result": []}
    file.write_text(json.dumps([{"id": 9, "data": {"task": task_name(ID, 1)}, "annotations": [done]}]))
    out = hybridal("labels", "import", run, file)[1]
    assert f"{file}: 1 added" in out
    assert f"  remark: {file}: task 9, annotation 3: lead_time: found 250000.0" in out


def test_a_run_that_was_moved_tells_where_it_is(run: Path) -> None:
    """Oracle: the path that it has now, in what is told and in the guide beside the template."""
    (before,) = requests_of(RunStore(str(run)))
    FileOracle().send(before)
    moved = run.rename(run.with_name("moved elsewhere"))
    (request,) = requests_of(RunStore(str(moved)))
    told = FileOracle().send(request)
    for text in (told, (moved / "start/request/README.txt").read_text()):
        assert f"hybridal labels import '{moved}'" in text
        assert f"{run} " not in text


def test_several_files_of_which_one_cannot_be_read(hybridal, run: Path, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("nothing")
    code, out, err = hybridal(
        "labels", "import", run, tmp_path / "none.json", answers(tmp_path / "f.json", {}), "--json"
    )
    assert code == 2
    assert err.startswith(f"hybridal: {tmp_path}/none.json: not valid JSON")
    assert json.loads(out)["deliveries"][0]["added"] == 1


def test_an_empty_batch_and_another_run_s_file(hybridal, run: Path, tmp_path: Path) -> None:
    assert "0 added" in hybridal("labels", "import", run, answers(tmp_path / "empty.json"))[1]
    out = hybridal("labels", "import", run, answers(tmp_path / "other.json", {"task": "ffffffffffff-00000"}))[1]
    assert "expected a request of this run (0123456789ab); the file may be of another run" in out
    assert len(ledger.read(str(run))) == 0


def test_the_history_of_a_video(hybridal, run: Path, tmp_path: Path) -> None:
    for day, box in (("03", BOX), ("04", BOX | {"class": "kick"})):
        told = {"annotator": "anna", "answered_at": f"2026-01-{day}", "boxes": [box]}
        hybridal("labels", "import", run, answers(tmp_path / f"{day}.json", told))
    lines = hybridal("labels", "history", run, "v0")[1].splitlines()
    assert [line.split(", ")[1:3] for line in lines] == [["1 actor: wave", "superseded"], ["1 actor: kick", "stands"]]
    assert json.loads(hybridal("labels", "history", run, "v0", "--frame", 2, "--json")[1])[1]["annotator"] == "anna"
    assert "no answer of the video 'v3'" in hybridal("labels", "history", run, "v3")[2]
    assert "videos.parquet: holds no video 'v33', expected" in hybridal("labels", "history", run, "v33")[2]


def test_there_is_nothing_to_pull_where_answers_come_in_files(hybridal, run: Path) -> None:
    code, _, err = hybridal("labels", "pull", run)
    assert code == 2
    assert "oracle.name is 'files', whose answers come in files" in err


def test_an_unknown_option_of_an_oracle_is_named(hybridal, tmp_path: Path) -> None:
    _, store = begin_run(tmp_path, oracle={"name": "files", "options": {"colour": "red"}})
    assert "oracle.options.colour: files has no such option" in hybridal("labels", "pull", store.root)[2]
