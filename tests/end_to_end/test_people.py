"""Runs whose labels come from people, by files. Oracles: the truth of the demo pool; the simulated annotator's run."""

import json
import os
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from killed_jobs import start_job
from scripted_people import answer, request_of, run_with_people, unlabelled_pool
from tiny_runs import CONFIG_FILE, labelled, overrides, picks

from hybridal_ray.detector_stages import DetectorStages
from hybridal_ray.label_intake import bring_in, open_run, requests_of
from hybridal_ray.labelling import Patience
from hybridal_ray.oracles.deliveries import read_delivery
from hybridal_ray.pool import ledger
from hybridal_ray.pool.tables import Pool, load_pool, save_pool


@pytest.fixture(scope="module")
def truth(tiny_pool: Path) -> Pool:
    return load_pool(str(tiny_pool))


@pytest.fixture(scope="module")
def bare_pool(tiny_pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unlabelled_pool(tiny_pool, tmp_path_factory.mktemp("bare") / "pool")


def test_three_jobs_and_two_batches_make_two_rounds(hybridal, truth: Pool, bare_pool: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = run_with_people(tmp_path, bare_pool)
    assert said[-1].startswith("waiting for people: 0 of 15 frames answered")
    assert "hybridal labels import" in said[-1]
    assert "round 0 waits for people: 0 of 15 frames" in json.loads(hybridal("status", run, "--json")[1])["state"]
    first = request_of(run, None)
    assert all(frame.proposed is None for frame in first.frames)

    answer(first, truth, tmp_path / "first.json")
    code, out, err = hybridal("labels", "import", run, tmp_path / "first.json", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["deliveries"][0]["added"] == 15
    said = run_with_people(tmp_path, bare_pool)
    assert "round 0: evaluate is skipped: no video of split 'test' is labelled" in said
    assert said[-1].startswith("waiting for people: 0 of 8 frames answered")

    second = request_of(run, 0)
    assert all(frame.proposed is not None for frame in second.frames)
    answer(second, truth, tmp_path / "second.json")
    hybridal("labels", "import", run, tmp_path / "second.json")
    said = run_with_people(tmp_path, bare_pool)
    assert (run / "rounds/001/select.done.json").exists()
    assert json.loads(hybridal("status", run, "--json")[1])["state"].startswith("finished after 2 rounds")
    labels = ledger.labels_by_video(ledger.read(str(run)))
    frames = {(frame.video_id, frame.frame) for frame in (*first.frames, *second.frames)}
    assert {(video, frame) for video, of_video in labels.items() for frame in of_video} == frames
    for row in truth.tubes.to_pylist():
        if (row["video_id"], row["frame"]) in frames:
            found = {(box.class_id, box.box[0]) for box in labels[row["video_id"]][row["frame"]]}
            assert (row["class_id"], row["x1"]) in found


def test_a_job_that_has_asked_ends_well(bare_pool: Path, tmp_path: Path) -> None:
    """The exit code of `jobs/al_loop.py`, by which a cluster knows that it may shrink."""
    for _ in range(2):
        job = start_job(tmp_path, bare_pool, {"PYTHONPATH": str(Path(__file__).parents[2])}, oracle__name="files")
        said, _ = job.communicate(timeout=120)
        assert job.returncode == 0, said
        assert "waiting for people: 0 of 15 frames answered" in said
        assert "round 0 waits for people" in said


def test_a_part_is_enough_where_the_user_says_so(hybridal, truth: Pool, bare_pool: Path, tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "part.json"
    run_with_people(tmp_path, bare_pool)
    answer(request_of(run, None), truth, file)
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "answers": told["answers"][:6]}))
    hybridal("labels", "import", run, file)
    assert run_with_people(tmp_path, bare_pool)[-1].startswith("waiting for people: 6 of 15 frames")
    said = run_with_people(tmp_path, bare_pool, Patience(accept_partial=True))
    # The part that was there is taken; the next request, which nobody has seen, is not skipped.
    assert said[-1].startswith("waiting for people: 0 of 8 frames")
    assert len(ledger.read(str(run))) == 6


def test_late_answers_are_bought_and_nobody_is_asked_for_them_again(
    hybridal, truth: Pool, bare_pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 15 frames, 9 are answered when the round begins and 4 while its pool is scored. Oracle: the budget of 20."""
    run, file, budget = tmp_path / "run", tmp_path / "part.json", {"budget__max_frames": 20}
    run_with_people(tmp_path, bare_pool, **budget)
    first = request_of(run, None)
    answers = answer(first, truth, file)
    bring = partial(_bring_in, hybridal, run, file, first.request)
    bring(answers[:9])
    score = DetectorStages.score
    monkeypatch.setattr(DetectorStages, "score", lambda *stage: (score(*stage), bring(answers[9:13])))
    said = run_with_people(tmp_path, bare_pool, Patience(accept_partial=True), **budget)
    request = request_of(run, 0)
    asked = {(frame.video_id, frame.frame) for frame in request.frames}
    known = {(frame.video_id, frame.frame) for frame in first.frames[:13]}
    assert said[-1].startswith("waiting for people: 0 of 7 frames")
    assert len(asked) == 7
    assert not asked & known
    for video in request.videos.values():
        assert set(video.labelled_frames) == {frame for name, frame in known if name == video.video_id}


def _bring_in(hybridal, run: Path, file: Path, request: str, answers: list[dict[str, Any]]) -> None:
    file.write_text(json.dumps({"request": request, "answers": answers}))
    assert hybridal("labels", "import", run, file)[0] == 0


def test_a_job_that_waits_goes_on_by_itself(
    hybridal, truth: Pool, bare_pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, naps = tmp_path / "run", []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        request = request_of(run, None if len(naps) == 1 else 0)
        answer(request, truth, tmp_path / f"{len(naps)}.json")
        hybridal("labels", "import", run, tmp_path / f"{len(naps)}.json")

    monkeypatch.setattr("hybridal_ray.labelling.sleep", nap)
    run_with_people(tmp_path, bare_pool, Patience(wait=True), oracle__poll_seconds=0.5)
    assert naps == [0.5, 0.5]
    assert (run / "rounds/001/select.done.json").exists()


def test_labels_that_the_pool_has_can_come_first(tiny_pool: Path, truth: Pool, tmp_path: Path) -> None:
    """A pool of which some frames are labelled: those are trained on, and others are asked for."""
    few = truth.tubes.filter(pc.is_in(truth.tubes["frame"], pa.array([4, 9], pa.int32())))
    rows = [{**row, "uri": str(tiny_pool / row["uri"])} for row in truth.videos.to_pylist()]
    videos = pa.Table.from_pylist(rows, truth.videos.schema)
    save_pool(Pool(str(tmp_path / "pool"), "partly", truth.classes, videos, few))
    said = run_with_people(tmp_path, tmp_path / "pool", oracle__start_from_pool=True, budget__revisit_fraction=1)
    assert said[-1].startswith("waiting for people: 0 of 8 frames")
    train = {row["video_id"] for row in rows if row["split"] == "train"}
    expected = {(row["video_id"], row["frame"]) for row in few.to_pylist() if row["video_id"] in train}
    assert labelled(tmp_path / "run") == expected
    assert not expected & set(picks(tmp_path / "run", 0))
    assert any(known.frame in (4, 9) for v in request_of(tmp_path / "run", 0).videos.values() for known in v.known)


def test_a_round_by_way_of_cvat(hybridal, truth: Pool, bare_pool: Path, tmp_path: Path) -> None:
    """The data set of the request, annotated in its own XML as CVAT would export it."""
    run = tmp_path / "run"
    said = run_with_people(tmp_path, bare_pool, oracle__name="cvat-files", rounds=1)
    assert "cvat.zip" in said[-1]
    request = request_of(run, None)
    with zipfile.ZipFile(run / "start/request/cvat.zip") as archive:
        root = ElementTree.fromstring(archive.read("annotations.xml"))
    told = {one["task"]: one for one in answer(request, truth, tmp_path / "answers.json")}
    for image in root.iter("image"):
        entry = told[image.attrib["name"].removesuffix(".png")]
        for box in entry["boxes"]:
            edges = dict(
                zip(("xtl", "ytl", "xbr", "ybr"), (f"{box[e]:.2f}" for e in ("x1", "y1", "x2", "y2")), strict=True)
            )
            ElementTree.SubElement(image, "box", {"label": box["class"], "source": "manual", **edges})
        if not entry["boxes"]:
            ElementTree.SubElement(image, "tag", {"label": "no actor"})
    ElementTree.ElementTree(root).write(tmp_path / "export.xml")
    assert "15 added" in hybridal("labels", "import", run, tmp_path / "export.xml", "--annotator", "anna")[1]
    assert "by rounds" in run_with_people(tmp_path, bare_pool, oracle__name="cvat-files", rounds=1)[-1]
    labels = ledger.read(str(run))
    assert set(labels["annotator"].to_pylist()) == {"anna"}
    assert sum(map(len, labels["boxes"].to_pylist())) == sum(len(entry["boxes"]) for entry in told.values())


def test_two_annotators_and_frames_that_cannot_be_told(hybridal, truth: Pool, bare_pool: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = {"oracle__overlap": 0.2, "rounds": 1, "selection__strategy": "random"}
    run_with_people(tmp_path, bare_pool, **settings)
    request = request_of(run, None)
    twice = {frame.task for frame in request.frames if frame.answers_wanted == 2}
    assert len(twice) == 3
    first = answer(request, truth, tmp_path / "anna.json")
    first[0] |= {"answer": "cannot tell", "boxes": [], "seconds": 4.0}
    second = [{**one, "annotator": "ben"} for one in first if one["task"] in twice]
    for name, told in (("anna", first), ("ben", second)):
        (tmp_path / f"{name}.json").write_text(json.dumps(told))
        out = hybridal("labels", "import", run, tmp_path / f"{name}.json")[1]
    assert "3 added, 3 second opinions" in out
    run_with_people(tmp_path, bare_pool, **settings)
    summary = json.loads((run / "start/label.done.json").read_text())
    assert (summary["agreement_mean_iou"], summary["agreement_frames"], summary["cannot_tell"]) == (1.0, 3, 1)
    assert summary["fitted_seconds_per_box"] == pytest.approx(10)
    assert summary["frames"] == 14
    unknown = (request.frames[0].video_id, request.frames[0].frame)
    labels = ledger.read(str(run))
    assert unknown[1] not in ledger.labels_by_video(labels).get(unknown[0], {})
    assert unknown not in picks(run, 0)
    assert unknown[1] in ledger.answered_frames(labels)[unknown[0]]


@pytest.mark.slow
def test_killed_at_every_step_of_asking_and_answering(
    truth: Pool, tiny_pool: Path, bare_pool: Path, tmp_path: Path
) -> None:
    """Oracle: the run that nothing disturbed, told the same answers."""
    whole, dying = tmp_path / "whole", tmp_path / "dying"
    answers = dying / "answers"
    answers.mkdir(parents=True)
    settings = {"oracle__name": "files", "selection__strategy": "random"}
    program = Path(__file__).with_name("dying_people.py")
    command = [sys.executable, str(program), str(CONFIG_FILE), str(tiny_pool), str(answers)]
    ended = subprocess.run(
        [*command, *overrides(dying, bare_pool, **settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    deaths = [(Path(file).relative_to(dying / "run").as_posix(), moment) for file, moment in json.loads(ended.stdout)]
    for file in ("start/request/request.json", "start/label.done.json", "rounds/000/request/request.json"):
        assert {moment for name, moment in deaths if name == file} == {"before", "after"}
    assert len({file for file, _ in deaths if file.startswith("labels/")}) == 2
    assert len({file for file, _ in deaths if file.endswith(".mp4")}) == 15 + 8

    for round_index in (None, 0):
        run_with_people(whole, bare_pool, **settings)
        answer(request_of(whole / "run", round_index), truth, tmp_path / "answers.json")
        store, _, pool = open_run(str(whole / "run"))
        bring_in(store, pool, read_delivery(str(tmp_path / "answers.json"), requests_of(store)))
    run_with_people(whole, bare_pool, **settings)
    for round_index in (None, 0, 1):
        assert picks(dying / "run", round_index) == picks(whole / "run", round_index)
    found, expected = (ledger.read(str(root / "run")).drop_columns(["request"]).to_pylist() for root in (dying, whole))
    assert found == expected
    for place in ("start", "rounds/000"):
        names = [
            sorted(file.name.partition("-")[2] for file in (root / "run" / place / "request/images").iterdir())
            for root in (dying, whole)
        ]
        assert names[0] == names[1]
    spoilt = [json.loads(file.read_text()) for file in (dying / "run/rejected").iterdir()]
    assert [[one["field"] for one in of_file] for of_file in spoilt] == [["boxes"], ["boxes"]]
    assert not list((dying / "run").rglob(".*.partial"))
