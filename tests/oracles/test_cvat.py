"""Requests sent to, and pulled from, a CVAT on a real socket that misbehaves as told, by CVAT's own SDK.

Oracle: what the server has been asked and holds in the end, against what a person would want of it. The server's
bodies were written after the SDK's models; no real server has seen these tests.
"""

import builtins
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from misbehaving_cvat import MisbehavingCvat
from misbehaving_server import TOKEN, serving
from requests_by_hand import ID, RUN_IDENTITY, pool, request

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.arrivals import settle
from hybridal_ray.oracles.cvat import CvatOracle
from hybridal_ray.oracles.cvat_tasks import guide_of, planned_tasks
from hybridal_ray.oracles.interface import ToolUnreachable
from hybridal_ray.pool.ledger import LABELS_SCHEMA
from hybridal_ray.requests.pictures import encode_film, encode_png, film_frame
from hybridal_ray.requests.request import KnownBox, Request

pytest.importorskip("cvat_sdk", reason="pip install -c constraints.txt '.[cvat]' brings the SDK")

IMAGES = [f"0000002_{ID}-00000.png", f"0000005_{ID}-00001.png"]
NAMES = [f"a [{ID}-video-000-1]", f"b [{ID}-video-001-1]"]


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose request has its pictures."""
    run = tmp_path_factory.mktemp("runs") / "run"
    picture = np.full((48, 64, 3), 90, np.uint8)
    asked = request(str(run / "start/request"))
    for frame in asked.frames:
        film = encode_film([film_frame(picture)] * 10, 25)
        for name, content in ((frame.image, encode_png(picture)), (frame.clip, film)):
            (run / "start/request" / name).parent.mkdir(parents=True, exist_ok=True)
            (run / "start/request" / name).write_bytes(content)
    return run


@pytest.fixture
def asked(run_directory: Path, tmp_path: Path) -> Request:
    shutil.copytree(run_directory, tmp_path / "run")
    return replace(request(str(tmp_path / "run/start/request")), run=str(tmp_path / "run"))


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr("hybridal_ray.oracles.tool_server.sleep", taken.append)
    return taken


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, naps: list[float]) -> Iterator[MisbehavingCvat]:
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", TOKEN)
    monkeypatch.setattr("hybridal_ray.oracles.cvat_server.sleep", lambda seconds: None)
    with serving(MisbehavingCvat()) as state:
        yield state


def oracle_of(server: MisbehavingCvat, **options: Any) -> CvatOracle:
    return CvatOracle(**{"url": server.url, "timeout_seconds": 20.0, **options})


def names(server: MisbehavingCvat) -> list[str]:
    return [task["name"] for task in server.tasks.values()]


def whole(server: MisbehavingCvat) -> bool:
    """One project, its tasks once each and whole, images sent once or again where they had not arrived."""
    shapes = [len(task["annotations"]["shapes"]) for task in server.tasks.values()]
    return (len(server.projects), len(server.guides), names(server), shapes) == (1, 1, NAMES, [1, 0])


def test_a_request_becomes_tasks_in_a_project_of_the_run(server: MisbehavingCvat, asked: Request) -> None:
    told = oracle_of(server).send(asked)
    assert f"its 2 tasks are in CVAT, {server.url}/projects/1;" in told
    assert server.projects[1]["name"] == f"run [hybridal {RUN_IDENTITY}]"
    assert [(label["name"], label["type"]) for label in server.labels] == [
        ("wave", "rectangle"), ("kick", "rectangle"), ("no actor", "tag"), ("cannot tell", "tag")
    ]  # fmt: skip
    assert whole(server)
    assert server.uploads == [1, 2]
    assert server.tasks[1]["images"] == IMAGES
    # The clip of 10 frames, every second of it.
    folder = f"related_images/{IMAGES[0].replace('.', '_')}"
    assert server.tasks[1]["related"][:5] == [f"{folder}/frame_{number:07d}.png" for number in (0, 2, 4, 6, 8)]
    (shape,) = server.tasks[1]["annotations"]["shapes"]
    assert (shape["points"], shape["frame"], shape["source"], shape["label_id"]) == ([4, 4, 20, 20], 0, "auto", 100)
    assert server.guides[1] == guide_of(asked)
    assert server.organizations == {""}


def test_the_guide_tells_of_each_frame_once_and_of_what_is_known(asked: Request) -> None:
    known = (KnownBox(9, "a|b", "wave", (1.0, 1.0, 9.0, 9.0)),)
    videos = {**asked.videos, "a": replace(asked.videos["a"], labelled_frames=(1, 9), known=known)}
    guide = guide_of(replace(request(twice=(0,)), videos=videos))
    assert guide.count(f"| `{IMAGES[0]}` | a: frame 2 of 10, at 0.08 s | Picked because: rank 0") == 1
    assert "Labelled already: frame 1: no actor; frame 9: wave" in guide
    assert f"clips/{ID}-00000.mp4" in guide


def test_frames_for_two_annotators_are_in_a_second_task(server: MisbehavingCvat, asked: Request) -> None:
    twice = replace(request(asked.directory, twice=(1,)), run=asked.run)
    oracle = oracle_of(server)
    oracle.send(twice)
    assert names(server) == [NAMES[0], f"a [{ID}-video-000-2]", NAMES[1]]
    assert server.tasks[2]["images"] == [IMAGES[1]]
    for job in server.jobs.values():
        job["state"] = "completed"
    arrival = settle(oracle.fetch(twice), [twice], pool(), LABELS_SCHEMA.empty_table(), 0, set())
    rows = [(row["frame"], row["annotator"], row["standing"]) for row in arrival.rows.to_pylist()]
    assert sorted(rows) == [
        (2, "job 10", None),
        (5, "job 10", None),
        (5, "job 20", "second opinion"),
        (7, "job 30", None),
    ]


def test_names_of_tasks_fit_the_server() -> None:
    asked = request()
    long = "v" * 300
    asked = replace(
        asked,
        videos={long: asked.videos["a"]},
        frames=tuple(replace(frame, video_id=long) for frame in asked.frames),
    )
    (planned,) = planned_tasks(asked)
    assert len("being sent, do not open: " + planned.name) == 256
    assert planned.name.endswith(f"v [{ID}-video-000-1]")


def test_what_is_sent_is_not_sent_again(server: MisbehavingCvat, asked: Request) -> None:
    oracle = oracle_of(server)
    oracle.send(asked)
    before = len(server.asked)
    oracle.send(asked)
    assert len(server.asked) == before
    (Path(asked.directory) / "cvat.json").unlink()  # killed before the note
    oracle_of(server).send(asked)
    assert whole(server)
    assert server.uploads == [1, 2]
    assert not [line for line in server.asked[before:] if line.startswith(("POST", "PUT"))]


@pytest.mark.parametrize("steps", range(2, 42, 8))
def test_a_job_killed_between_any_two_steps_leaves_nothing_twice(
    server: MisbehavingCvat, asked: Request, steps: int
) -> None:
    """The connection breaks off for good after so many requests were done: as far as the server can see, a kill."""
    server.moods = [None] * steps + ["hang up"]
    with pytest.raises(ToolUnreachable):
        oracle_of(server, tries=1).send(asked)
    oracle_of(server).send(asked)
    assert whole(server)


def test_images_that_are_being_taken_in_are_not_sent_again(server: MisbehavingCvat, asked: Request) -> None:
    """Sent, and killed when the server had only queued them."""
    server.moods = [None] * 11 + ["hang up"]
    with pytest.raises(ToolUnreachable):
        oracle_of(server, tries=1).send(asked)
    assert [request["status"] for request in server.requests] == ["started"]
    assert server.tasks[1]["name"] == f"being sent, do not open: {NAMES[0]}"
    assert oracle_of(server).fetch(asked).records == []
    oracle_of(server).send(asked)
    assert whole(server)
    assert server.uploads == [1, 2]


@pytest.mark.parametrize("mood", [429, 500, "done, then 500", "html"])
@pytest.mark.parametrize("at", [1, 9, 19])
def test_trouble_that_passes_is_sat_out(
    server: MisbehavingCvat, asked: Request, naps: list[float], mood: Any, at: int
) -> None:
    server.moods = [None] * at + [mood]
    oracle_of(server).send(asked)
    assert whole(server)
    assert naps == [1.0]


def test_pauses_follow_what_the_server_asks_for(server: MisbehavingCvat, asked: Request, naps: list[float]) -> None:
    server.moods = [500, (429, 7), (503, 4000)]
    oracle_of(server).send(asked)
    assert naps == [1.0, 7.0, 60.0]


@pytest.mark.parametrize(
    ("mood", "told"), [(500, "answers 500"), (429, "answers 429"), ("hang", "ReadTimeout"), ("html", "gives a page")]
)
def test_a_server_in_lasting_trouble_is_told_of(
    server: MisbehavingCvat, asked: Request, naps: list[float], mood: Any, told: str
) -> None:
    server.hang_seconds = 2.0
    server.moods = [mood] * 2
    with pytest.raises(ToolUnreachable, match=rf"{told}.*, 2 times"):
        oracle_of(server, tries=2, timeout_seconds=0.5 if mood == "hang" else 20.0).send(asked)
    assert naps == [1.0]
    assert not (Path(asked.directory) / "cvat.json").exists()


def test_a_server_that_is_down_is_told_of(server: MisbehavingCvat, asked: Request) -> None:
    with serving(MisbehavingCvat()) as gone:
        url = gone.url
    for act in ("send", "fetch"):
        with pytest.raises(ToolUnreachable, match=r"NewConnectionError.*, 5 times"):
            getattr(oracle_of(server, url=url), act)(asked)


def test_images_that_the_server_cannot_take_in_are_told_of(server: MisbehavingCvat, asked: Request) -> None:
    server.spoilt = True
    with pytest.raises(ToolUnreachable, match="cannot take in the images of task 1: cannot identify image"):
        oracle_of(server, tries=2).send(asked)
    assert server.uploads == [1, 1]
    server.spoilt = False
    oracle_of(server).send(asked)
    assert whole(server)


def test_a_refused_token_is_the_users_to_mend(
    server: MisbehavingCvat, asked: Request, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "f00d" * 10)
    for act in ("send", "fetch"):
        with pytest.raises(UserError, match=r"refuses the token \(401\).*CVAT_ACCESS_TOKEN") as error:
            getattr(oracle_of(server), act)(asked)
        assert "f00d" not in str(error.value)
    assert naps == []
    monkeypatch.delenv("CVAT_ACCESS_TOKEN")
    with pytest.raises(UserError, match="CVAT_ACCESS_TOKEN is not set"):
        oracle_of(server)


@pytest.mark.parametrize("status", [302, 400, 404])
def test_a_refusal_for_good_is_told_at_once(
    server: MisbehavingCvat, asked: Request, naps: list[float], status: int
) -> None:
    server.moods = [None, status]
    with pytest.raises(UserError, match=str(status)):
        oracle_of(server).send(asked)
    assert naps == []


def test_another_kind_of_server_is_told_of(
    server: MisbehavingCvat, asked: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MisbehavingCvat, "get_projects", lambda self, **_: {"results": "many"})
    with pytest.raises(UserError, match="does not answer as the CVAT does that the SDK is for"):
        oracle_of(server).send(asked)


def test_no_sdk_is_one_clear_sentence(server: MisbehavingCvat, monkeypatch: pytest.MonkeyPatch) -> None:
    known = builtins.__import__

    def without_sdk(name: str, *rest: Any) -> Any:
        if name.startswith("cvat_sdk"):
            raise ImportError(name)
        return known(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_sdk)
    with pytest.raises(UserError, match=r"pip install -c constraints.txt '\.\[cvat\]'"):
        oracle_of(server)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": "localhost:8080"}, "oracle.options.url"),
        ({"url": "http://anna:secret@localhost"}, "holds a name or a password"),
        ({"stage": "done"}, "oracle.options.stage"),
        ({"tries": True}, "oracle.options.tries"),
        ({"timeout_seconds": 0}, "oracle.options.timeout_seconds"),
    ],
)
def test_an_option_that_is_none_is_named(server: MisbehavingCvat, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        oracle_of(server, **options)
    assert "secret" not in str(error.value)


def test_a_class_with_the_name_of_an_answer_is_refused(server: MisbehavingCvat, asked: Request) -> None:
    with pytest.raises(UserError, match="'no actor' is the name of an answer"):
        oracle_of(server).send(replace(asked, classes=("wave", "no actor")))
    assert server.asked == []


def test_an_organization_is_worked_in(server: MisbehavingCvat, asked: Request) -> None:
    oracle_of(server, organization="lab").send(asked)
    assert server.organizations == {"lab"}


def test_the_token_is_nowhere(server: MisbehavingCvat, asked: Request, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    oracle = oracle_of(server, tries=2)
    oracle.send(asked)
    server.jobs[10]["state"] = "completed"
    oracle.fetch(asked)
    server.moods = [500, 500]
    with pytest.raises(ToolUnreachable) as error:
        oracle.fetch(asked)
    written = [file.read_bytes() for file in Path(asked.run).rglob("*") if file.is_file()]
    assert written
    assert TOKEN.encode() not in b"".join(written)
    assert TOKEN not in caplog.text + str(error.value) + repr(error.value) + repr(vars(oracle))
