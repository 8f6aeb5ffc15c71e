"""What the stages of finished rounds took on this cluster."""

from dataclasses import dataclass

from hybridal_ray.pass_progress import read_progress
from hybridal_ray.pool import storage
from hybridal_ray.report import PASSES
from hybridal_ray.run_store import RunStore


@dataclass(frozen=True)
class FinishedStage:
    """A stage that has been run.

    Attributes:
        round: Of the stage.
        seconds: It took.
        epochs: Trained, None for other stages.
    """

    round: int
    seconds: float
    epochs: int | None


def latest_finished(store: RunStore, name: str, before: int) -> FinishedStage | None:
    """The stage as the latest round ran it, None where none has.

    Its marker has the time of the last attempt alone. Where an earlier one was killed, the epochs of the training
    and the rate of the pass tell of all the work.

    Args:
        store: The run directory.
        name: Of the stage.
        before: Rounds from this one on do not count.
    """
    for index in reversed(range(before)):
        stage = store.stage(index, name)
        if not stage.done or "skipped" in stage.summary():
            continue
        summary = stage.summary()
        seconds = float(summary["seconds"])
        if name == "train":
            history = storage.read_json(storage.join(stage.directory, "train", "history.json"))
            seconds = max(seconds, sum(epoch["seconds"] for epoch in history))
        elif name in PASSES:
            told = read_progress(storage.join(stage.directory, PASSES[name]))
            if told is not None and told[0].frames_per_second > 0:
                seconds = max(seconds, told[0].frames / told[0].frames_per_second)
        return FinishedStage(index, seconds, summary.get("epochs"))
    return None
