"""What finished stages took, from run directories written by hand."""

from pathlib import Path

from hybridal_ray.forecast.finished_stages import FinishedStage, latest_finished
from hybridal_ray.pass_progress import PROGRESS_FILE
from hybridal_ray.pool import storage
from hybridal_ray.run_store import RunStore


def test_the_latest_round_counts_and_only_those_before(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    for index, seconds in enumerate((5.0, 7.0, 9.0)):
        store.stage(index, "select").finish({"seconds": seconds})
    assert latest_finished(store, "select", 2) == FinishedStage(1, 7.0, None)
    assert latest_finished(store, "select", 0) is None


def test_a_scoring_that_was_left_out_tells_nothing(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path))
    store.stage(0, "score").finish({"seconds": 5.0})
    store.stage(1, "score").finish({"seconds": 0.0, "skipped": "random needs no scores"})
    assert latest_finished(store, "score", 2) == FinishedStage(0, 5.0, None)


def test_what_a_killed_attempt_did_is_counted(tmp_path: Path) -> None:
    """The marker has the seconds of the last attempt: 6 of 24 for the training, 20 of 80 for the scoring."""
    store = RunStore(str(tmp_path))
    train = store.stage(0, "train")
    storage.write_json(storage.join(train.directory, "train/history.json"), [{"seconds": 6.0}] * 4)
    train.finish({"seconds": 6.5, "epochs": 4})
    score = store.stage(0, "score")
    progress = {
        "videos_done": 8, "videos": 8, "frames_done": 800, "frames": 800, "failed": 0, "seconds": 20.0,
        "frames_per_second": 10.0, "seconds_left": 0.0, "at": 0.0,
    }  # fmt: skip
    storage.write_json(storage.join(score.directory, "scores", PROGRESS_FILE), progress)
    score.finish({"seconds": 20.5})
    assert latest_finished(store, "train", 1) == FinishedStage(0, 24.0, 4)
    assert latest_finished(store, "score", 1) == FinishedStage(0, 80.0, None)
