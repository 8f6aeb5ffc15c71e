"""What every stage of a run has in common: it is done once, marked when it ends, and told of."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.config import Config
from hybridal_ray.config_values import plain
from hybridal_ray.pool import ledger, storage
from hybridal_ray.pool.tables import Pool
from hybridal_ray.run_budget import RunBudget
from hybridal_ray.run_store import RunStore
from hybridal_ray.video_rows import VideoRows

Say = Callable[[str], None]
START = None  # the purchase before the first round
KNOWN = "known_labels.json"  # of a round: the parts of the ledger that its purchase goes by
SECONDS_BETWEEN_NEWS = 15.0  # of a pass over videos


@dataclass
class RunStages:
    """A run at work.

    Attributes:
        config: The run.
        pool: Its pool.
        store: Its directory.
        say: Takes a line of progress.
        videos: The usable videos of the training split.
    """

    config: Config
    pool: Pool
    store: RunStore
    say: Say

    def __post_init__(self) -> None:
        self.videos = VideoRows.usable(self.pool.videos, "train", self.pool.root)

    def stage(
        self, round_index: int | None, name: str, work: Callable[[], Mapping[str, Any]], *, anew: bool = False
    ) -> None:
        """Does a stage unless it is done, marks it, and says what came of it.

        Args:
            round_index: Its round, `START` for the purchase before the first.
            name: Of the stage.
            work: Does it, and returns what its marker is to hold beside ``seconds``.
            anew: Does it again although it is done.
        """
        stage = self.store.stage(round_index, name)
        where = "start" if round_index is None else f"round {round_index}"
        if stage.done and not anew:
            self.say(f"{where}: {name} is done already")
            return
        self.say(f"{where}: {name} …")
        started = time.perf_counter()
        summary = work()
        seconds = time.perf_counter() - started
        stage.finish({**summary, "seconds": seconds})
        told = ", ".join(f"{key} {_brief(value)}" for key, value in summary.items() if isinstance(value, int | float))
        self.say(f"{where}: {name} took {seconds:.1f} s{': ' if told else ''}{told}")

    def labels(self, round_index: int | None) -> pa.Table:
        """The labels that a round may know: those bought for it and before it, none at the start."""
        bought = ledger.read(self.store.root)
        return bought.filter(pc.field("round") <= (-1 if round_index is None else round_index))

    def known(self, round_index: int | None, *, anew: bool = False) -> pa.Table:
        """The labels that the purchase at the end of a round goes by: all that were there when it was begun.

        People may have answered a former request since the round's labels were closed, and are not asked again. What
        was there is noted, so that a job that goes on with the purchase comes to the same picks.

        Args:
            round_index: The round, `START` for the purchase before the first.
            anew: The purchase is made again, by what is there now.
        """
        note = self.directory(round_index, KNOWN)
        if anew or not storage.exists(note):
            storage.write_json(note, ledger.parts(self.store.root))
        return ledger.read(self.store.root, storage.read_json(note))

    def frames_left(self, labels: pa.Table) -> int | None:
        """Frames that the run may still buy beside these labels; None where that has no bound."""
        return plain(RunBudget, self.config.budget).frames_left(labels)

    def directory(self, round_index: int | None, name: str) -> str:
        """Where a stage of a round leaves what it makes."""
        return storage.join(self.store.round_directory(round_index), name)

    def checkpoint(self, round_index: int) -> str:
        """Where the detector of a round is kept."""
        return self.directory(round_index, "train/checkpoint")

    def now_and_then(self, stage: str) -> Say:
        """Says how far a pass over videos is, but not each time it is told."""
        told = time.perf_counter()

        def tell(line: str) -> None:
            nonlocal told
            if time.perf_counter() - told > SECONDS_BETWEEN_NEWS:
                told = time.perf_counter()
                self.say(f"{stage} … {line}")

        return tell


def _brief(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3g}"
