"""What the runs of a comparison have come to, read from their directories: one curve a run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hybridal_ray.config import parse_config
from hybridal_ray.label_intake import awaited
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Pool, load_pool
from hybridal_ray.run_store import RunStore
from hybridal_ray.tracking.provenance import read_provenance
from hybridal_ray.tracking.run_reader import evaluated_split, read_configuration, read_rounds


@dataclass(frozen=True)
class Curve:
    """One run, a point a round that is evaluated.

    Attributes:
        arm: Its arm.
        seed: Its seed; None where runs stand side by side, each an arm of its own.
        state: Where it is, in words.
        finished: Whether it has come to its end.
        frames: Labelled frames, ascending.
        percent: The same as percentage of the frames of the training split, 0 to 100.
        seconds: Modelled seconds of labour; None where nothing was bought.
        values: By metric, in [0, 1]; None where a round has no such figure.
        pool: Identity of its pool; None where no round is there.
        split: Of the pool, that the values are of; likewise.
        code: Revision of the code that began the run; likewise.
    """

    arm: str
    seed: int | None
    state: str
    finished: bool
    frames: tuple[int, ...] = ()
    percent: tuple[float, ...] = ()
    seconds: tuple[float | None, ...] = ()
    values: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    pool: str | None = None
    split: str | None = None
    code: str | None = None

    @property
    def name(self) -> str:
        """Of the run, unique in what is compared."""
        return self.arm if self.seed is None else f"{self.arm}-{self.seed}"

    def as_json(self) -> dict[str, Any]:
        """The curve as plain values."""
        return asdict(self)


def read_curve(
    run_root: str,
    *,
    arm: str,
    seed: int | None,
    metrics: Sequence[str],
    state: str,
    finished: bool,
    pool: Pool | None = None,
) -> Curve:
    """Reads the curve of a run.

    Args:
        run_root: The run directory.
        arm: Its arm.
        seed: Its seed; None where its arm is itself.
        metrics: Names in ``evaluate/metrics.json``.
        state: Of the run, in words.
        finished: Whether it has come to its end.
        pool: Of the run; None loads it.

    Raises:
        UserError: There is no run, or its pool has moved away.
    """
    rounds = [record for record in read_rounds(run_root, pool or pool_of(run_root)) if record.metrics]
    configuration = read_configuration(run_root)
    return Curve(
        arm=arm,
        seed=seed,
        state=state,
        finished=finished,
        frames=tuple(record.labelled_frames for record in rounds),
        percent=tuple(record.percent_of_pool_frames for record in rounds),
        seconds=tuple(record.labour_seconds for record in rounds),
        values={name: tuple(_figure(record.metrics.get(name)) for record in rounds) for name in metrics},
        pool=configuration["pool_identity"],
        split=evaluated_split(configuration),
        code=_code(run_root),
    )


def pool_of(run_root: str) -> Pool:
    """The pool of a run.

    Raises:
        UserError: There is no run, or its pool has moved away.
    """
    tree = {name: value for name, value in RunStore(run_root).config().items() if name != "pool_identity"}
    config = parse_config(tree, f"{run_root}/config.yaml")
    return load_pool(config.locate(config.pool.path))


def progress_of(run_root: str, rounds: int) -> str:
    """Where a run is that has not come to its end: ``round 2 of 6: score is next``, or what people have to answer."""
    store = RunStore(run_root)
    if (asked := awaited(store)) is not None:
        request, progress = asked
        return f"waits for people: {progress.line()}; request in {request.directory}"
    statuses = store.status()
    waiting = next((status for status in statuses if not status.done), None)
    if waiting is None:
        return f"round {max((s.round for s in statuses if s.round is not None), default=-1) + 1} of {rounds} is next"
    where = "start" if waiting.round is None else f"round {waiting.round} of {rounds}"
    return f"{where}: {waiting.stage} is next"


def _code(run_root: str) -> str | None:
    there = storage.exists(storage.join(run_root, "provenance.json"))
    return read_provenance(run_root).git_revision if there else None


def _figure(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
