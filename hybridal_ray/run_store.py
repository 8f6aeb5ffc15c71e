"""The run directory: the configuration of a run, and which stages of which round are done.

A run is a directory, or a prefix in an object store, that holds ``config.yaml``, the ledger in ``labels/``, what
was bought to begin with in ``start/``, and ``rounds/000/`` and so on. A stage is done when its marker
(``rounds/000/train.done.json``) exists. The marker is written last and appears whole or not at all, so a job that
was killed anywhere continues behind the last finished stage.
"""

import fcntl
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow.fs as pafs
import yaml

from hybridal_ray.dotted_fields import leaves
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

logger = logging.getLogger(__name__)


class RunInUseError(UserError):
    """Another job works on the run."""


START_STAGES = ("select", "label")
ROUND_STAGES = ("train", "evaluate", "score", "select", "label")
# Where a stage leaves what it goes on with after it was cut off.
LEFT_BEHIND = {"train": "train", "evaluate": "evaluate", "score": "scores"}

_CONFIG = "config.yaml"
_LOCK = "run.lock"
_MARKER_SUFFIX = ".done.json"
_UNSET = "(not set)"


@dataclass(frozen=True)
class Stage:
    """One stage of one round.

    Attributes:
        directory: The round's directory (the same for all its stages), below which the stage leaves its files.
        marker: Location of the marker, ``<directory>/<name>.done.json``.
    """

    directory: str
    marker: str

    @property
    def done(self) -> bool:
        """Whether the stage has been finished, now or by an earlier job."""
        return storage.exists(self.marker)

    def summary(self) -> dict[str, Any]:
        """What the stage said of itself when it finished.

        Raises:
            UserError: The stage is not done.
        """
        return dict(storage.read_json(self.marker))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Marks the stage as done. Everything else that it writes must be written by now.

        Args:
            summary: What can be said of the stage in JSON; by agreement it holds ``seconds``, its duration.
        """
        storage.write_json(self.marker, dict(summary))


@dataclass(frozen=True)
class StageStatus:
    """Where one stage stands.

    Attributes:
        round: Round of the stage, None for what was bought before the first round.
        stage: Name of the stage.
        done: Whether its marker exists.
        summary: Content of the marker, None while the stage is not done.
    """

    round: int | None
    stage: str
    done: bool
    summary: dict[str, Any] | None


class RunStore:
    """The directory of one run.

    Reading (`config`, `status`, `finished_rounds`) takes no lock. A job that works on the run calls `open`, which
    on a local path holds ``run.lock`` until `close` or the end of the process, however it ends. An object store
    offers no such lock: there, seeing to it that one run has one job is left to whoever submits it.

    Example:
        >>> with RunStore("/data/runs/first") as store:
        ...     store.open({"seed": 0}, free=())
        ...     stage = store.stage(0, "train")
        ...     if not stage.done:
        ...         stage.finish({"seconds": 12.5})
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> "RunStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(
        self,
        resolved: Mapping[str, Any],
        free: Collection[str],
        free_until: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """Takes the run for this job: starts it, or checks that its configuration still is the one it began with.

        Args:
            resolved: The whole configuration, as nested mappings of what YAML can hold.
            free: Dotted fields that may change while stages are done, each standing for all below it too.
            free_until: Fields that may change as long as a stage, of `LEFT_BEHIND`, is done in no round; what the
                stage has left of an attempt under the former values is removed.

        Raises:
            UserError: The directory holds something else; another job works on the run; or fields changed that
                would falsify finished stages.
        """
        system, path = storage.filesystem(self.root)
        self._refuse_strangers(system, path)
        if isinstance(system, pafs.LocalFileSystem) and self._lock is None:
            self._lock = take_lock(Path(path), self.root)
        text = yaml.safe_dump(_plain(resolved), sort_keys=False, allow_unicode=True)
        # Compared as it will be read back, so that a tuple and the list it becomes are no difference.
        new = yaml.safe_load(text)
        if storage.exists(self._config_location):
            old = self.config()
            if old == new:
                return
            if any(status.done for status in self.status()):
                self._admit_changes(old, new, free, free_until or {})
        storage.write_bytes(self._config_location, text.encode())

    def close(self) -> None:
        """Releases the lock, if this store holds it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def config(self) -> dict[str, Any]:
        """The configuration of the run, as nested dictionaries.

        Raises:
            UserError: There is no run, or its ``config.yaml`` is no YAML mapping.
        """
        if not storage.exists(self._config_location):
            raise UserError(f"{self.root}: no run is there (it has no {_CONFIG})")
        try:
            content = yaml.safe_load(storage.read_bytes(self._config_location))
        except yaml.YAMLError as error:
            raise UserError(f"{self._config_location}: not valid YAML: {error}") from error
        if not isinstance(content, dict):
            raise UserError(f"{self._config_location}: holds {type(content).__name__}, expected a mapping")
        return content

    def round_directory(self, round_index: int | None) -> str:
        """Where a round leaves its files; None is what was bought before the first round."""
        if round_index is None:
            return storage.join(self.root, "start")
        return storage.join(self.root, "rounds", f"{round_index:03d}")

    def stage(self, round_index: int | None, name: str) -> Stage:
        """A stage of a round (None: before the first round), done or not."""
        directory = self.round_directory(round_index)
        return Stage(directory, storage.join(directory, name + _MARKER_SUFFIX))

    def status(self) -> list[StageStatus]:
        """Every stage of the start and of the rounds begun so far, in the order in which they run."""
        statuses = []
        for round_index in (None, *self.rounds_begun()):
            names = START_STAGES if round_index is None else ROUND_STAGES
            markers = set(storage.list_files(self.round_directory(round_index), suffix=_MARKER_SUFFIX))
            for name in names:
                stage = self.stage(round_index, name)
                done = stage.marker in markers
                statuses.append(StageStatus(round_index, name, done, stage.summary() if done else None))
        return statuses

    def finished_rounds(self) -> list[int]:
        """The rounds that have said what to label next (``select`` is done), ascending.

        Labelling is not asked for: the last round of a run ends with its selection.
        """
        return [index for index in self.rounds_begun() if self.stage(index, "select").done]

    @property
    def _config_location(self) -> str:
        return storage.join(self.root, _CONFIG)

    def rounds_begun(self) -> list[int]:
        """The rounds that have left anything at all, ascending."""
        system, path = storage.filesystem(storage.join(self.root, "rounds"))
        found = system.get_file_info(pafs.FileSelector(path, allow_not_found=True))
        names = (info.base_name for info in found if info.type == pafs.FileType.Directory)
        return sorted(int(name) for name in names if name.isdecimal())

    def _refuse_strangers(self, system: pafs.FileSystem, path: str) -> None:
        if system.get_file_info(path).type == pafs.FileType.File:
            raise UserError(f"{self.root}: is a file, expected the directory of a run, or a new one")
        found = [info.base_name for info in system.get_file_info(pafs.FileSelector(path, allow_not_found=True))]
        # A job killed while it wrote its very first file leaves no more than its lock and a hidden partial file.
        others = sorted(name for name in found if name != _LOCK and not name.endswith(".partial"))
        if others and _CONFIG not in others:
            raise UserError(
                f"{self.root}: holds {others[0]!r} but no {_CONFIG}, so it is not the directory of a run; "
                "name a new or an empty directory"
            )

    def _admit_changes(
        self,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        free: Collection[str],
        free_until: Mapping[str, Collection[str]],
    ) -> None:
        """Refuses what would falsify finished stages, and removes what unfinished ones have left of former values."""
        before, after = dict(leaves(old)), dict(leaves(new))
        changed = [
            field
            for field in dict.fromkeys([*before, *after])
            if not _is_free(field, free) and before.get(field, _UNSET) != after.get(field, _UNSET)
        ]
        done = {status.stage for status in self.status() if status.done and status.round is not None}
        pending = {stage: fields for stage, fields in free_until.items() if stage not in done}
        refused = [
            f"{field} was {before.get(field, _UNSET)!r} and is now {after.get(field, _UNSET)!r}"
            for field in changed
            if not any(_is_free(field, fields) for fields in pending.values())
        ]
        if refused:
            raise UserError(
                f"{self.root}: stages of this run are done under another configuration: {'; '.join(refused)}. "
                "Restore the former value to continue this run, or name a new run directory to start another"
            )
        for stage, fields in pending.items():
            if any(_is_free(field, fields) for field in changed):
                for index in self.rounds_begun():
                    storage.remove_directory(storage.join(self.round_directory(index), LEFT_BEHIND[stage]))


def take_lock(directory: Path, root: str) -> IO[bytes] | None:
    """Locks a local directory for this process until the file is closed; None where the file system knows no locks.

    Args:
        directory: Is created where it is not there.
        root: Its name, for messages.

    Raises:
        RunInUseError: Another process holds the lock.
        UserError: The directory cannot be made or written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / _LOCK).open("ab")
    except OSError as error:
        raise UserError(f"{root}: cannot be written: {error}") from error
    try:
        # The kernel releases it with the process, so a job that was killed never leaves a stale lock behind.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise RunInUseError(f"{root}: another job is working on this run; wait for it or stop it") from error
    except OSError as error:
        lock.close()
        logger.warning("%s cannot be locked (%s): run only one job on it at a time", root, error)
        return None
    return lock


def _plain(value: Any) -> Any:
    """Mappings and tuples as the dictionaries and lists that YAML holds."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _is_free(field: str, free: Collection[str]) -> bool:
    return any(field == name or field.startswith(f"{name}.") for name in free)
