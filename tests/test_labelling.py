"""What answers do to a run that waits: when they count, who may bring them at once, and what cannot be closed.

Oracles: the ledger, and the rule of each case written down by hand.
"""

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from small_pool import begin_run

from hybridal_ray.config import Config
from hybridal_ray.errors import UserError
from hybridal_ray.label_intake import awaited, bring_in, requests_of
from hybridal_ray.labelling import Patience, StillWaiting, expected_cost, goes_unmeasured, label_purchase
from hybridal_ray.oracles.deliveries import read_delivery
from hybridal_ray.oracles.interface import Delivery, ToolUnreachable
from hybridal_ray.pool import ledger
from hybridal_ray.pool.tables import TUBES_SCHEMA, Pool, load_pool
from hybridal_ray.requests.request import AskedFrame, AskedVideo, Request, task_name, write_description
from hybridal_ray.run_budget import RunBudget, boxes_per_frame
from hybridal_ray.run_stages import RunStages
from hybridal_ray.run_store import RunStore

BOX = {"class": "wave", "x1": 1, "y1": 2, "x2": 30, "y2": 40}
IDS = {None: "000000000000", 0: "111111111111"}


class Run:
    """A run that has asked for frames 2 and 5 of ``v0``, and later for 7 and 9."""

    def __init__(self, root: Path, **oracle: Any) -> None:
        self.config: Config
        self.store: RunStore
        self.config, self.store = begin_run(root, oracle={"name": "files", **oracle})
        self.pool: Pool = load_pool(str(root / "pool"))
        self.said: list[str] = []
        self._files = root / "answers"
        self._files.mkdir()

    def ask(self, round_index: int | None, *frames: int) -> None:
        directory = f"{self.store.round_directory(round_index)}/request"
        asked = tuple(
            AskedFrame(task_name(IDS[round_index], rank), "v0", frame, None, "i.png", "c.mp4", 0, 1, {}, None)
            for rank, frame in enumerate(frames)
        )
        video = AskedVideo("v0", "v0.mp4", 10, 25.0, 64, 48, (), ())
        for_round = 0 if round_index is None else round_index + 1
        write_description(
            Request(
                IDS[round_index],
                self.store.root,
                for_round,
                self.pool.classes,
                {"v0": video},
                asked,
                (),
                directory,
                "0" * 32,
            )
        )

    def bring(self, *answers: dict[str, Any], name: str = "f.json") -> int:
        file = self._files / name
        file.write_text(json.dumps(answers))
        return len(bring_in(self.store, self.pool, read_delivery(str(file), requests_of(self.store))).rows)

    def label(self, round_index: int | None, **patience: bool) -> dict[str, Any]:
        told = label_purchase(
            self.config, self.pool, self.store, self.said.append, Patience(**patience), round_index,
            TUBES_SCHEMA.empty_table(),
        )  # fmt: skip
        self.store.stage(round_index, "label").finish({**told, "seconds": 0.0})
        return told

    def rounds(self) -> dict[int, int]:
        """The round of each row of the ledger, by frame."""
        labels = ledger.read(self.store.root)
        return dict(zip(labels["frame"].to_pylist(), labels["round"].to_pylist(), strict=True))


def of(frame: int, *boxes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"video_id": "v0", "frame": frame, "boxes": list(boxes), **fields}


def test_answers_count_for_the_round_they_were_asked_for_and_late_ones_for_the_next(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.ask(None, 2, 5)
    run.bring(of(2, BOX))
    with pytest.raises(StillWaiting, match="1 of 2 frames answered"):
        run.label(None)
    told = run.label(None, accept_partial=True)
    assert (told["asked_frames"], told["answered_frames"], told["frames"]) == (2, 1, 1)
    run.ask(0, 7, 9)
    run.bring(of(5, BOX), of(7, BOX), of(1, BOX))
    assert run.rounds() == {2: 0, 5: 1, 7: 1, 1: 1}
    with pytest.raises(StillWaiting, match="1 of 2 frames"):
        run.label(0)
    run.bring(of(9))
    assert run.label(0)["negative_frames"] == 1


def test_a_request_nobody_has_answered_is_not_skipped(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.ask(None, 2, 5)
    run.bring(of(1, BOX))  # of another frame
    with pytest.raises(StillWaiting, match="0 of 2 frames"):
        run.label(None, accept_partial=True)


def test_answers_that_are_no_label_close_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.ask(None, 2, 5)
    run.bring(of(2, answer="cannot tell"), of(5, answer="cannot tell"))
    with pytest.raises(UserError, match="of all 2 answers none is a label"):
        run.label(None)
    run.bring(of(1, BOX))
    assert run.label(None)["cannot_tell"] == 2


def test_many_imports_at_once_add_each_answer_once(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.ask(None, 2, 5)
    with ThreadPoolExecutor(8) as crowd:
        added = list(crowd.map(lambda number: run.bring(of(2, BOX), of(5), name=f"{number}.json"), range(16)))
    assert sorted(added) == [0] * 15 + [2]
    assert len(ledger.read(run.store.root)) == 2
    waits = awaited(run.store)
    assert waits is not None
    assert waits[1].complete


def test_where_the_file_system_knows_no_locks_labels_come_in_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    run = Run(tmp_path)
    run.ask(None, 2, 5)
    monkeypatch.setattr("fcntl.flock", no_locks)
    assert run.bring(of(2, BOX), of(5)) == 2
    assert run.label(None)["frames"] == 2
    assert "cannot be locked (" in caplog.text


def test_a_late_answer_never_changes_what_a_round_was_trained_on(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.ask(None, 2, 5)
    run.bring(of(2, BOX, annotator="anna"), of(5, annotator="anna"))
    run.label(None)

    def trained_on() -> Any:
        labels = ledger.read(run.store.root)
        return ledger.labels_by_video(labels.filter(ledger.pc.less_equal(labels["round"], 0)))

    before = trained_on()
    assert run.bring(of(2, annotator="anna"), of(5, BOX, annotator="anna")) == 2
    assert trained_on() == before
    assert ledger.labels_by_video(ledger.read(run.store.root)) != before


def test_a_late_answer_to_a_former_request_answers_the_next_that_asks_for_the_frame(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.ask(None, 2, 5)
    run.bring(of(2, BOX))
    run.label(None, accept_partial=True)
    run.ask(0, 5)
    run.bring({"task": task_name(IDS[None], 1), "boxes": [BOX]})
    assert run.bring({"task": task_name(IDS[0], 0), "boxes": [BOX]}) == 0  # the same, without a date: there already
    assert run.label(0)["answered_frames"] == 1


def test_a_purchase_goes_by_all_that_was_answered_when_it_was_begun(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.ask(None, 2, 5, 8)
    run.bring(of(2, BOX))
    run.label(None, accept_partial=True)
    config = run.config.model_copy(update={"budget": run.config.budget.model_copy(update={"max_frames": 3})})
    stages = RunStages(config, run.pool, run.store, run.said.append)
    run.bring(of(5, BOX))
    assert stages.frames_left(stages.labels(0)) == 2
    assert stages.frames_left(stages.known(0)) == 1
    run.bring(of(8, BOX))
    assert ledger.answered_frames(stages.known(0)) == {"v0": (2, 5)}  # by a job that goes on with the same purchase
    assert stages.frames_left(stages.known(0, anew=True)) == 0
    assert ledger.answered_frames(stages.labels(0)) == {"v0": (2,)}  # what it was trained on


def test_a_split_without_labels_is_not_measured_where_people_are_asked(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert not goes_unmeasured(run.config, run.pool, "test")
    assert goes_unmeasured(run.config, run.pool, "val")
    simulated = run.config.model_copy(update={"oracle": run.config.oracle.model_copy(update={"name": "simulated"})})
    assert not goes_unmeasured(simulated, run.pool, "val")


def test_budgets_go_by_what_people_took_once_they_tell(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.ask(None, 2, 5)
    empty = ledger.read(run.store.root)
    assert expected_cost(run.config, empty).seconds_per_box == run.config.oracle.seconds_per_box
    # Frames 1 to 6 of one video: 4 s a frame, 7 s a box, 20 s to open it, for the request and for the rest.
    timed = [of(frame, *[BOX] * (frame % 2), seconds=4 + 7 * (frame % 2) + 20 * (frame < 3)) for frame in range(1, 7)]
    run.bring(*timed)
    learned = expected_cost(run.config, ledger.read(run.store.root))
    costs = (learned.seconds_per_video, learned.seconds_per_frame, learned.seconds_per_box)
    assert costs == pytest.approx((20, 4, 7))
    labels = ledger.read(run.store.root)
    assert RunBudget(10, None, None).frames_left(labels) == 4
    run.bring(of(1))  # a correction is no further frame
    assert RunBudget(10, None, None).frames_left(ledger.read(run.store.root)) == 4
    run.bring(of(3, answer="cannot tell", boxes=[]))
    refused = ledger.read(run.store.root)  # no label, and so none that the budget pays for
    assert RunBudget(10, None, None).frames_left(refused) == 5
    assert boxes_per_frame(refused) == 1 / 5  # on frame 5; frame 1 was corrected to none
    simulated = run.config.model_copy(update={"oracle": run.config.oracle.model_copy(update={"name": "simulated"})})
    assert expected_cost(simulated, labels).seconds_per_box == run.config.oracle.seconds_per_box
    twice = run.config.model_copy(update={"oracle": run.config.oracle.model_copy(update={"overlap": 0.5})})
    assert [expected_cost(twice, known).overlap for known in (empty, labels)] == [0.5, 0.5]


class Tool:
    """A tool that is down for a while, and then has all answers.

    Args:
        calls: Where it counts.
        down_for: Calls.
    """

    def __init__(self, calls: list[str], down_for: int) -> None:
        self._calls, self._down_for = calls, down_for

    def send(self, request: Request) -> str:
        self._calls.append(request.request)
        if len(self._calls) <= self._down_for:
            raise ToolUnreachable("503")
        return "look at the tool"

    def fetch(self, request: Request) -> Delivery:
        from hybridal_ray.oracles.interface import AnswerRecord

        records = [AnswerRecord(frame.task, {"task": frame.task, "boxes": [BOX]}) for frame in request.frames]
        return Delivery("tool", "label-studio", [*records, AnswerRecord("bad", {"task": "none"})])


def test_a_tool_that_is_down_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    run = Run(tmp_path, name="test_labelling:Tool", options={"calls": [], "down_for": 2})
    monkeypatch.setattr("hybridal_ray.labelling.people_of", lambda config: Tool(calls, 2))
    naps: list[float] = []
    monkeypatch.setattr("hybridal_ray.labelling.sleep", naps.append)
    run.ask(None, 2, 5)
    with pytest.raises(StillWaiting, match="cannot be reached: 503"):
        run.label(None)
    assert run.label(None, wait=True)["frames"] == 2
    assert naps == [60.0]
    assert len(calls) == 3
    assert any("tool: bad: task: found 'none'" in line for line in run.said)
