"""The paired design: what arms of a seed have in common is computed once and copied into the run of each.

Two arms share their first training and evaluation where their configurations agree in all that these depend on, and
their first scores where they also score alike. What is left out of that comparison is named here; a field that is
not named counts, so that a doubt costs time and never a wrong result.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybridal_ray.config import Config
from hybridal_ray.dotted_fields import leaves, without
from hybridal_ray.errors import UserError
from hybridal_ray.labelling import asks_people
from hybridal_ray.pool import storage
from hybridal_ray.run_stages import KNOWN
from hybridal_ray.run_store import RunStore
from hybridal_ray.selection.strategies import build_strategy
from hybridal_ray.start_scores import PRETRAINED

# Configuration that the first round's labels, weights and evaluation do not depend on.
AFTER_TRAINING = frozenset(
    {
        "run", "rounds", "tracking", "cluster", "stopping",
        "budget.videos_per_round", "budget.frames_per_video", "budget.max_frames_per_round", "budget.revisit_fraction",
        "training.warm_start",
        "scoring.passes", "scoring.measure", "scoring.class_weight",
        "scoring.reading", "scoring.reduction", "scoring.foreground_threshold",
        "scoring.empty_frame_score", "scoring.proximity_sigma", "scoring.proximity_window", "scoring.spacing",
        "scoring.precision", "scoring.clip_step", "scoring.stable_ranking", "scoring.passes_at_once",
        "scoring.pool_fraction", "scoring.score_index",
        "selection.strategy", "selection.options",
    }
)  # fmt: skip

# Configuration that its scores do not depend on either.
AFTER_SCORING = frozenset(
    {
        "run", "rounds", "tracking", "cluster", "stopping",
        "budget.videos_per_round", "budget.max_frames_per_round", "budget.revisit_fraction",
        "training.warm_start", "scoring.score_index", "selection.strategy", "selection.options",
    }
)  # fmt: skip

_TRAINED = ((None, "select"), (None, "label"), (0, "train"), (0, "evaluate"))
_SCORED = (*_TRAINED, (0, "score"))


@dataclass(frozen=True)
class FirstRound:
    """A first round that several runs begin with.

    Attributes:
        root: Where it is kept, laid out as a run.
        decided_by: The configuration that decides it, by dotted field.
        config: Of one of the runs that begin with it.
        scored: Whether its scores are part of it.
        begins_with: The first round without scores that it goes on from, or None.
    """

    root: str
    decided_by: Mapping[str, Any]
    config: Config
    scored: bool
    begins_with: "FirstRound | None"

    @property
    def name(self) -> str:
        """The last part of its location, unique in the comparison."""
        return self.root.rsplit("/", 1)[-1]

    @property
    def stages(self) -> Sequence[tuple[int | None, str]]:
        """The round and name of each stage that it consists of, in the order in which they run."""
        return _SCORED if self.scored else _TRAINED


def share_first_rounds(configs: Mapping[str, Config], shared_root: str) -> dict[str, FirstRound]:
    """Finds out which runs can begin alike.

    Args:
        configs: By name of the run.
        shared_root: Below it first rounds are kept.

    Returns:
        By name of the run, the longest first round that it has in common with another; a run that has none in
        common is left out, and so is one whose labels come from people, who answer a run and nothing else.
    """
    trained, scored = defaultdict(list), defaultdict(list)
    for name, config in configs.items():
        if _asks_people(config):
            continue
        trained[_key(_decides_training(config))].append(name)
        asked = _asks_of_scoring(config)
        if asked is not None:
            scored[_key(_decided_by(config, AFTER_SCORING) | {"asked": asked})].append(name)
    shared: dict[str, FirstRound] = {}
    for key, names in trained.items():
        if len(names) > 1:
            config = configs[names[0]]
            root = storage.join(shared_root, f"trained-{config.seed}-{key}")
            first = FirstRound(root, _decides_training(config), config, scored=False, begins_with=None)
            shared |= dict.fromkeys(names, first)
    for key, names in scored.items():
        if len(names) > 1:  # they train alike too, since `AFTER_SCORING` is part of `AFTER_TRAINING`
            config = configs[names[0]]
            root = storage.join(shared_root, f"scored-{config.seed}-{key}")
            decided_by = _decided_by(config, AFTER_SCORING) | {"asked": _asks_of_scoring(config)}
            first = FirstRound(root, decided_by, config, scored=True, begins_with=shared[names[0]])
            shared |= dict.fromkeys(names, first)
    return shared


def copy_first_round(first: FirstRound, store: RunStore) -> None:
    """Copies the stages of a finished first round that a run has not done yet.

    The marker of a stage is copied when all else of it is there, so that a copy that was cut off at any point is
    gone on with, or done again by the run itself, which comes to the same. A run that has trained by itself goes on
    with what it has made: on a GPU, the same training twice gives weights that differ in their last digits.

    Args:
        first: Finished.
        store: Of the run, open.
    """
    source = RunStore(first.root)
    for round_index, name in first.stages:
        taken, own = source.stage(round_index, name), store.stage(round_index, name)
        if own.done:
            if round_index is not None and storage.read_bytes(own.marker) != storage.read_bytes(taken.marker):
                return
            continue
        for file in _files_of(first.root, round_index, name):
            storage.write_bytes(storage.join(store.root, file), storage.read_bytes(storage.join(first.root, file)))
        storage.write_bytes(own.marker, storage.read_bytes(taken.marker))


def is_begun_alike(first: FirstRound, run_root: str) -> bool:
    """Whether a run has all stages of a first round done, so that it needs no copy of them."""
    store = RunStore(run_root)
    return all(store.stage(round_index, name).done for round_index, name in first.stages)


def _files_of(root: str, round_index: int | None, stage: str) -> Iterator[str]:
    """What a stage has left, as paths relative to the run, its marker left out."""
    folder = "start" if round_index is None else f"rounds/{round_index:03d}"
    if stage == "select":
        names = [f"{folder}/{KNOWN}", f"{folder}/selection.parquet", f"{folder}/clusters.parquet"]
        yield from (name for name in names if storage.exists(storage.join(root, name)))
    elif stage == "label":
        names = storage.list_tree(storage.join(root, "labels"))  # several where answers come in pieces
        yield from (f"labels/{name}" for name in names if name.startswith("round-000"))
    else:
        below = f"{folder}/{'scores' if stage == 'score' else stage}"
        yield from (f"{below}/{name}" for name in storage.list_tree(storage.join(root, below)))


def _asks_people(config: Config) -> bool:
    try:
        return asks_people(config)
    except UserError:
        return False  # the run itself will say why


def _asks_of_scoring(config: Config) -> Any:
    """What a run's strategy wants to be measured; None where it needs no scores, or cannot be built."""
    try:
        strategy = build_strategy(config.selection.strategy, config.selection.options)
    except UserError:
        return None  # the run itself will say why
    return {"measure": str(getattr(strategy, "measure", ""))} if strategy.needs_scores else None


def _decides_training(config: Config) -> dict[str, Any]:
    """What the first training depends on; how the pool is scored is part of it where such scores decide the labels."""
    return _decided_by(config, AFTER_SCORING if config.selection.start_latents == PRETRAINED else AFTER_TRAINING)


def _decided_by(config: Config, left_out: Collection[str]) -> dict[str, Any]:
    """All fields of a configuration, by dotted name, but those that are left out, sections among them."""
    return without(leaves(config.model_dump(mode="json")), left_out)


def _key(decided_by: Mapping[str, Any]) -> str:
    """The same for equal configurations."""
    return hashlib.blake2b(json.dumps(decided_by, sort_keys=True).encode(), digest_size=6).hexdigest()
