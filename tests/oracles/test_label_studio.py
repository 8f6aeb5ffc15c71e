"""Requests sent to, and pulled from, a server on a real socket that misbehaves as told.

Oracle: what the server has been asked and holds in the end, against what a person would want of it.
"""

import builtins
import itertools
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from misbehaving_server import TOKEN, MisbehavingServer, misbehaving_server
from requests_by_hand import CLASSES, ID, RUN_IDENTITY, pool, request

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.arrivals import settle
from hybridal_ray.oracles.interface import ToolUnreachable
from hybridal_ray.oracles.label_studio import LabelStudioOracle, delivery_of_tasks
from hybridal_ray.oracles.label_studio_project import label_config, project_title, task_of
from hybridal_ray.oracles.progress import progress_of
from hybridal_ray.pool.ledger import LABELS_SCHEMA
from hybridal_ray.requests.request import Request

pytest.importorskip("label_studio_sdk", reason="pip install -c constraints.txt '.[label-studio]' brings the SDK")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    with misbehaving_server() as state:
        yield state


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr("hybridal_ray.oracles.tool_server.sleep", taken.append)
    return taken


@pytest.fixture
def asked(tmp_path: Path) -> Request:
    return replace(request(str(tmp_path / "run/start/request")), run=str(tmp_path / "run"))


def oracle_of(server: MisbehavingServer, asked: Request, **options: Any) -> LabelStudioOracle:
    root = Path(asked.run).parent
    return LabelStudioOracle(**{"url": server.url, "document_root": str(root), "timeout_seconds": 20.0, **options})


def names(server: MisbehavingServer) -> list[str]:
    return [task["data"]["task"] for task in server.tasks]


ALL = [f"{ID}-{rank:05d}" for rank in range(3)]


def test_a_request_becomes_tasks_in_a_project_of_the_run(server: MisbehavingServer, asked: Request) -> None:
    told = oracle_of(server, asked).send(asked)
    assert f"its 3 tasks are in Label Studio, {server.url}/projects/1/data" in told
    assert names(server) == ALL
    project = server.projects[1]
    assert (project["title"], project["description"].split(":")[0]) == ("run 01234567", f"hybridal run {RUN_IDENTITY}")
    assert server.folders == [asked.directory]
    assert server.tasks[0]["data"]["image"] == f"/data/local-files/?d=run/start/request/images/{ALL[0]}.png"
    (prediction,) = server.tasks[0]["predictions"]
    value = prediction["result"][0]["value"]
    # The wave at (4, 4, 20, 20) of 64×48 pixels.
    assert [value[part] for part in ("x", "y", "width", "height")] == pytest.approx(
        [6.25, 8.3333, 25, 33.3333], abs=1e-3
    )
    assert value["rectanglelabels"] == ["wave"]
    assert "predictions" not in server.tasks[1]


def test_a_frame_that_two_people_are_to_answer_has_two_tasks(server: MisbehavingServer, asked: Request) -> None:
    """Oracle: the frames that want two, and no other, are asked for twice; what either says is of the frame."""
    frames = tuple(replace(frame, answers_wanted=2 if rank == 1 else 1) for rank, frame in enumerate(asked.frames))
    asked = replace(asked, frames=frames)
    oracle_of(server, asked).send(asked)
    assert server.projects[1]["maximum_annotations"] == 1
    assert names(server) == [*ALL, ALL[1]]
    assert "another annotator" in server.tasks[3]["data"]["place"]
    for forgotten in (3, 1):  # a job that was killed sends just what is missing
        del server.tasks[forgotten]
        (Path(asked.directory) / "label_studio.json").unlink()
        oracle_of(server, asked).send(asked)
        assert sorted(names(server)) == sorted([*ALL, ALL[1]])
    for task in server.tasks:
        second = "turn" in task["data"]
        task["annotations"] = [
            annotation(task["id"], rectangle("wave", 5 + 9 * second, 5, 9, 9), completed_by=7 + second)
        ]
    arrival = settle(oracle_of(server, asked).fetch(asked), [asked], pool(), LABELS_SCHEMA.empty_table(), 0, set())
    assert (len(arrival.rows), arrival.second_opinions, arrival.corrections) == (4, 1, ())
    assert progress_of(asked, arrival.rows).complete


def test_a_request_of_no_frame_is_sent_too(server: MisbehavingServer, asked: Request) -> None:
    none = replace(asked, frames=())
    assert "its 0 tasks" in oracle_of(server, none).send(none)
    assert (len(server.projects), server.tasks) == (1, [])


def test_a_run_that_was_renamed_keeps_its_project(server: MisbehavingServer, asked: Request, tmp_path: Path) -> None:
    oracle_of(server, asked).send(asked)
    Path(asked.run).rename(tmp_path / "renamed")
    moved = replace(asked, run=str(tmp_path / "renamed"), directory=str(tmp_path / "renamed/start/request"))
    (Path(moved.directory) / "label_studio.json").unlink()
    oracle_of(server, moved).send(moved)
    assert (len(server.projects), names(server)) == (1, ALL)
    assert len(oracle_of(server, moved).fetch(moved).records) == 3


def test_what_is_sent_is_not_sent_again(server: MisbehavingServer, asked: Request) -> None:
    oracle = oracle_of(server, asked)
    oracle.send(asked)
    before = len(server.asked)
    oracle.send(asked)
    assert len(server.asked) == before
    later = replace(asked, request="ba9876543210", directory=asked.directory.replace("start", "rounds/000"))
    later = replace(later, frames=tuple(replace(f, task=f.task.replace(ID, later.request)) for f in later.frames))
    oracle_of(server, asked).send(later)
    assert (len(server.projects), len(server.tasks)) == (1, 6)


@pytest.mark.parametrize("steps", range(6))
def test_a_job_killed_between_any_two_steps_leaves_nothing_twice(
    server: MisbehavingServer, asked: Request, naps: list[float], steps: int
) -> None:
    """The connection breaks off for good after so many requests were done: as far as the server can see, a kill."""
    server.moods = [None] * steps + ["hang up"] * 3
    with pytest.raises(ToolUnreachable):
        oracle_of(server, asked, tries=3).send(asked)
    server.moods = []
    oracle_of(server, asked).send(asked)
    assert (len(server.projects), server.folders, names(server)) == (1, [asked.directory], ALL)


def test_a_job_killed_between_import_and_note_finds_its_tasks(server: MisbehavingServer, asked: Request) -> None:
    oracle_of(server, asked).send(asked)
    (Path(asked.directory) / "label_studio.json").unlink()
    oracle_of(server, asked).send(asked)
    assert names(server) == ALL
    del server.tasks[1]  # and a part of them sends the rest
    (Path(asked.directory) / "label_studio.json").unlink()
    oracle_of(server, asked).send(asked)
    assert sorted(names(server)) == ALL


def test_what_was_deleted_on_the_server_is_told_and_made_anew(server: MisbehavingServer, asked: Request) -> None:
    """Oracle: the second turn of a task, and then the project, that somebody deletes by hand."""
    frames = tuple(replace(frame, answers_wanted=2 if rank == 1 else 1) for rank, frame in enumerate(asked.frames))
    asked, note = replace(asked, frames=frames), Path(asked.directory) / "label_studio.json"
    oracle = oracle_of(server, asked)
    oracle.send(asked)
    assert oracle.fetch(asked).unreadable == []
    del server.tasks[3]
    (refused,) = oracle.fetch(asked).unreadable
    assert refused.line() == (
        f"{server.url}/projects/1: request {ID}: task {ALL[1]}#2: found nothing, expected the task; delete {note} to "
        "have it made anew"
    )
    server.projects.clear()
    (refused,) = oracle.fetch(asked).unreadable
    assert refused.line().endswith(f"project: found nothing, expected the project; delete {note} to have it made anew")
    note.unlink()
    server.tasks.clear()
    oracle.send(asked)
    assert names(server) == [*ALL, ALL[1]]


@pytest.mark.parametrize("mood", [429, 500, "hang up", "done, then 500", "html"])
@pytest.mark.parametrize("at", range(7))
def test_trouble_that_passes_is_sat_out(
    server: MisbehavingServer, asked: Request, naps: list[float], mood: Any, at: int
) -> None:
    server.moods = [None] * at + [mood]
    oracle_of(server, asked).send(asked)
    assert (len(server.projects), len(set(server.folders)), names(server)) == (1, 1, ALL)
    assert naps == ([] if server.moods else [1.0])


def test_an_import_that_is_done_and_told_as_failed_is_not_done_again(
    server: MisbehavingServer, asked: Request, naps: list[float]
) -> None:
    oracle_of(server, asked).send(asked)
    at = next(number for number, line in enumerate(server.asked) if line.endswith("/import"))
    server.projects.clear(), server.tasks.clear(), server.folders.clear()
    (Path(asked.directory) / "label_studio.json").unlink()
    server.moods = [None] * at + ["done, then 500"]
    oracle_of(server, asked).send(asked)
    assert names(server) == ALL
    assert sum(line.endswith("/import") for line in server.asked) == 2  # one for each of the two sendings


def test_pauses_double_and_follow_what_the_server_asks_for(
    server: MisbehavingServer, asked: Request, naps: list[float]
) -> None:
    server.moods = [500, 429, (429, 7), (503, 4000)]
    oracle_of(server, asked).send(asked)
    assert naps == [1.0, 2.0, 7.0, 60.0]


@pytest.mark.parametrize(
    ("mood", "told"),
    [(500, "answers 500"), (429, "answers 429"), ("hang", "ReadTimeout"), ("html", "an answer that is no JSON")],
)
def test_a_server_in_lasting_trouble_is_told_of(
    server: MisbehavingServer, asked: Request, naps: list[float], mood: Any, told: str
) -> None:
    server.hang_seconds = 2.0
    server.moods = [mood] * 3
    with pytest.raises(ToolUnreachable, match=rf"{told}.*, 3 times"):
        oracle_of(server, asked, tries=3, timeout_seconds=0.5 if mood == "hang" else 20.0).send(asked)
    assert naps == [1.0, 2.0]
    assert not (Path(asked.directory) / "label_studio.json").exists()


def test_a_server_that_is_down_is_told_of(server: MisbehavingServer, asked: Request, naps: list[float]) -> None:
    with misbehaving_server() as gone:
        url = gone.url
    with pytest.raises(ToolUnreachable, match="ConnectError"):
        oracle_of(server, asked, url=url).send(asked)
    with pytest.raises(ToolUnreachable, match="ConnectError"):
        oracle_of(server, asked, url=url).fetch(asked)


def test_a_refused_token_is_the_users_to_mend(
    server: MisbehavingServer, asked: Request, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "f00d" * 10)
    for act in ("send", "fetch"):
        with pytest.raises(UserError, match=r"refuses the token \(401\).*LABEL_STUDIO_API_KEY") as error:
            getattr(oracle_of(server, asked), act)(asked)
        assert "f00d" not in str(error.value)
    assert naps == []
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    with pytest.raises(UserError, match="LABEL_STUDIO_API_KEY is not set"):
        oracle_of(server, asked)


def test_a_form_that_the_server_refuses_is_told_at_once(
    server: MisbehavingServer, asked: Request, naps: list[float]
) -> None:
    server.moods = [None, 400]
    with pytest.raises(UserError, match="400"):
        oracle_of(server, asked).send(asked)
    assert naps == []


def test_no_sdk_is_one_clear_sentence(
    server: MisbehavingServer, asked: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = builtins.__import__

    def without_sdk(name: str, *rest: Any) -> Any:
        if name.startswith("label_studio_sdk"):
            raise ImportError(name)
        return known(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_sdk)
    with pytest.raises(UserError, match=r"pip install -c constraints.txt '\.\[label-studio\]'"):
        oracle_of(server, asked)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": "localhost:8080"}, "oracle.options.url"),
        ({"url": "http://anna:secret@localhost"}, "holds a name or a password"),
        ({"media": "floppy"}, "oracle.options.media"),
        ({"document_root": None}, "oracle.options.document_root"),
        ({"tries": 0}, "oracle.options.tries"),
        ({"timeout_seconds": "long"}, "oracle.options.timeout_seconds"),
        ({"media": "uri", "prefix": "ftp://x"}, "oracle.options.prefix"),
    ],
)
def test_an_option_that_is_none_is_named(
    server: MisbehavingServer, asked: Request, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told) as error:
        oracle_of(server, asked, **options)
    assert "secret" not in str(error.value)


def test_a_run_outside_the_servers_folder_is_refused(server: MisbehavingServer, asked: Request, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not hold the run"):
        oracle_of(server, asked, document_root=str(tmp_path / "elsewhere")).send(asked)
    assert server.tasks == []


@pytest.mark.parametrize(
    ("directory", "run", "options", "image"),
    [
        ("s3://b/run/start/request", "s3://b/run", {}, "s3://b/run/start/request/images/"),
        ("/d/run/start/request", "/d/run", {"prefix": "https://m.example.org/r"}, "https://m.example.org/r/start/request/images/"),
        ("/d/run/start/request", "/d/run", {"prefix": "https://m.example.org", "root": "/d"}, "https://m.example.org/run/start/request/images/"),
    ],
)  # fmt: skip
def test_pictures_with_addresses_need_no_folder(
    server: MisbehavingServer, directory: str, run: str, options: dict[str, str], image: str
) -> None:
    asked = replace(request(directory), run=run)
    oracle = LabelStudioOracle(url=server.url, media="uri", **options)
    address = oracle._media.address(asked)
    assert task_of(asked.frames[0], asked, address)["data"]["image"] == f"{image}{ALL[0]}.png"


def rectangle(name: str, x: float, y: float, w: float, h: float, rotation: float = 0) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": w, "height": h, "rotation": rotation, "rectanglelabels": [name]}
    return {"type": "rectanglelabels", "from_name": "actors", "to_name": "image", "value": value}


def annotation(number: int, *result: dict[str, Any], **fields: Any) -> dict[str, Any]:
    at = "2026-01-02T12:00:00Z"
    return {"id": number, "result": list(result), "completed_by": 7, "lead_time": 4.5, "updated_at": at, **fields}


def test_annotations_become_answers_in_pixels(server: MisbehavingServer, asked: Request) -> None:
    oracle = oracle_of(server, asked)
    assert oracle.fetch(asked).records == []  # nothing was sent
    oracle.send(asked)
    server.tasks[0]["annotations"] = [annotation(1, rectangle("wave", 6.25, 100 / 12, 25, 100 / 3))]
    server.tasks[1]["annotations"] = [annotation(2, rectangle("kick", 50, 50, 50, 50), completed_by=9)]
    server.tasks[2]["annotations"] = [annotation(3, rectangle("wave", 10, 10, 20, 20, rotation=30))]
    arrival = settle(oracle.fetch(asked), [asked], pool(), LABELS_SCHEMA.empty_table(), 0, set())
    first, second = arrival.rows.to_pylist()
    assert (first["annotator"], first["seconds"], first["preannotation"]) == ("anna@example.org", 4.5, "accepted")
    assert [first["boxes"][0][edge] for edge in ("x1", "y1", "x2", "y2")] == pytest.approx([4, 4, 20, 20])
    assert second["annotator"] == "9"  # somebody whom the server does not list
    assert [second["boxes"][0][edge] for edge in ("x1", "y1", "x2", "y2")] == pytest.approx([32, 24, 64, 48])
    (refused,) = arrival.rejected
    assert refused.line().endswith("task 3, annotation 3: rotation: found 30°, expected a rectangle that is not turned")
    again = settle(oracle.fetch(asked), [asked], pool(), arrival.rows, 0, set())
    assert (len(again.rows), again.duplicates) == (0, 2)


def test_a_turned_rectangle_does_not_hide_the_other_annotations_of_its_task(asked: Request) -> None:
    both = [annotation(1, rectangle("wave", 1, 1, 9, 9, rotation=-5)), annotation(2, rectangle("wave", 1, 1, 9, 9))]
    delivery = delivery_of_tasks([{"id": 4, "data": {"task": ALL[0]}, "annotations": both}], {}, asked, "here")
    assert (len(delivery.records), len(delivery.unreadable)) == (1, 1)


def test_the_form_holds_every_class_and_the_other_answers() -> None:
    odd = ("wave & <kick>", 'a "b"', "ß")
    form = ElementTree.fromstring(label_config(odd))
    assert tuple(label.get("value") for label in form.iter("Label")) == odd
    assert [choice.get("value") for choice in form.iter("Choice")] == ["no actor", "cannot tell"]
    assert [image.get("value") for image in form.iter("Image")] == ["$image"]
    assert [video.get("value") for video in form.iter("Video")] == ["$clip"]
    assert len(set(itertools.chain([name.get("name") for name in form.iter() if name.get("name")]))) == 6
    assert CLASSES[0] not in odd


def test_titles_fit_the_server(asked: Request) -> None:
    assert project_title(replace(asked, run="/runs/" + "x" * 80)) == "x" * 41 + " 01234567"


def test_the_token_is_nowhere(
    server: MisbehavingServer, asked: Request, naps: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    oracle = oracle_of(server, asked, tries=2)
    oracle.send(asked)
    oracle.fetch(asked)
    server.moods = [500, 500]
    with pytest.raises(ToolUnreachable) as error:
        oracle.fetch(asked)
    written = [file.read_bytes() for file in Path(asked.run).rglob("*") if file.is_file()]
    assert written
    assert TOKEN.encode() not in b"".join(written)
    assert TOKEN not in caplog.text + str(error.value) + repr(error.value) + repr(vars(oracle))
