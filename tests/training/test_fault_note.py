"""Oracles: the error that was raised first; the tries counted by hand."""

from pathlib import Path

import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import UnreadableVideo
from hybridal_ray.training.fault_note import fresh_note, noting_faults


class Worker:
    """Trains into a fault, and counts how often."""

    def __init__(self, note: str, fault: Exception) -> None:
        self.note, self.fault, self.tries = note, fault, 0

    def start(self) -> None:
        with noting_faults(self.note):
            self.tries += 1
            raise self.fault


@pytest.mark.parametrize(
    "fault", [UserError("training.batch_size: too many"), UnreadableVideo("a.mp4", "no such file")]
)
def test_a_worker_that_is_started_again_raises_the_same_at_once(tmp_path: Path, fault: Exception) -> None:
    worker = Worker(fresh_note(str(tmp_path)), fault)
    for _ in range(3):
        with pytest.raises(type(fault)) as caught:
            worker.start()
        assert caught.value.args == fault.args
    assert worker.tries == 1
    assert fresh_note(str(tmp_path)) == worker.note
    with pytest.raises(type(fault)):
        worker.start()
    assert worker.tries == 2


def test_other_faults_are_tried_again(tmp_path: Path) -> None:
    worker = Worker(fresh_note(str(tmp_path)), RuntimeError("lost"))
    for _ in range(3):
        with pytest.raises(RuntimeError, match="lost"):
            worker.start()
    assert worker.tries == 3
    assert list(tmp_path.iterdir()) == []


def test_where_no_note_can_be_written_the_fault_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "ray").write_text("a file where a directory should be")
    with pytest.raises(UserError, match="too many"):
        Worker(str(tmp_path / "ray" / "fault.json"), UserError("too many")).start()
