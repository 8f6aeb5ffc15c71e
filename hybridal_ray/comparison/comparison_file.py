"""The file of a comparison: which arms, over how many seeds, and what is asked of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PositiveInt, ValidationError, model_validator

from hybridal_ray.config import Config, load_config
from hybridal_ray.config_files import locate_below, read_override, read_tree, write_override
from hybridal_ray.dotted_fields import leaves
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.metric_names import check_metrics
from hybridal_ray.pool import storage
from hybridal_ray.registry import nearest
from hybridal_ray.section import Section

FULL = "full"  # the arm of full supervision

SEED = "{seed}"  # in an override, stands for the seed of the run

# Each run is one process: training and scoring happen where its task runs.
IN_PROCESS = ("training.workers=0", "scoring.actors=0")
SET_FOR_EVERY_RUN = {
    "seed": "the runs of an arm have the seeds 0 to `seeds` − 1; expected the field seeds",
    "run": "each run lies below the directory of the comparison; expected the field out",
    "tracking.experiment": "the runs are tracked under the comparison's name; expected the field name",
    "training.workers": "each run is one process; expected cpus_per_run, gpus_per_run and at_once",
    "scoring.actors": "each run is one process; expected cpus_per_run, gpus_per_run and at_once",
}
ALL_LABELS = (
    "budget.start_videos=all", "budget.start_frames_per_video=all", "rounds=1",
    "budget.max_frames=null", "budget.max_videos=null", "budget.max_seconds=null",
    "selection.strategy=random", "selection.options={}",
    "selection.start_strategy=random", "selection.start_options={}",
)  # fmt: skip


def _as_overrides(given: Any) -> Any:
    """A mapping, nested or dotted, as ``dotted.key=value``; what is no mapping is left to the check of the type."""
    return list(_overrides_in(given, "")) if isinstance(given, Mapping) else given


def _overrides_in(tree: Mapping[Any, Any], prefix: str) -> Iterator[str]:
    """One for each leaf; a mapping with a key that would be taken apart at its dots is one value."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value and all(map(_names_a_field, value)):
            yield from _overrides_in(value, f"{prefix}{key}.")
        else:
            yield write_override(f"{prefix}{key}", value)


def _names_a_field(key: Any) -> bool:
    return isinstance(key, str) and "=" not in key and ("." not in key or all(map(str.isidentifier, key.split("."))))


Overrides = Annotated[tuple[str, ...], BeforeValidator(_as_overrides)]


class Arm(Section):
    """One way to run the loop, as it differs from the base configuration."""

    overrides: Overrides = Field((), description="Mapping of fields, or a list of dotted.key=value.")


class FullSupervision(Section):
    """The arm that is trained once, on every label of the training split."""

    overrides: Overrides = Field((), description="Besides those that buy all labels in one round.")
    seeds: PositiveInt | None = Field(None, description="Of the first so many seeds alone.")


class Comparison(Section):
    """A comparison of arms over seeds, each arm of each seed an ordinary run."""

    name: str = Field(description="Of the comparison and of its MLflow experiment; the file's name where not given.")
    root: str = Field(
        "~/hybridal", description="Directory or URI that relative paths are taken from; the base run's where not given."
    )
    out: str = Field(description="Directory or URI of the comparison; comparisons/<name> where not given.")
    config: str = Field(description="YAML file of the base run; a relative path is taken from this file's folder.")
    overrides: Overrides = Field((), description="Of the base run, for every arm.")
    seeds: PositiveInt = Field(5, description="Seeds 0, 1, 2 and so on.")
    arms: dict[str, Arm] = Field(min_length=1, description="By name.")
    only: tuple[str, ...] | None = Field(
        None, min_length=1, description="Arms to run and to report on this time; the others can follow."
    )
    reference: str = Field(
        "random", description="The arm that the others are compared with, seed by seed; full is full supervision."
    )
    full: FullSupervision | None = Field(None, description="Full supervision; null has none.")
    metrics: tuple[str, ...] = Field(
        ("frame_map@0.5", "video_map@0.5"), min_length=1, description="Names in evaluate/metrics.json."
    )
    targets: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (0.90, 0.95, 0.97), description="Shares of full supervision's figure, in (0, 1]."
    )
    at_percent: tuple[float, ...] = Field((5.0,), description="Budgets, in % of the frames, that are reported on.")
    ray: bool = Field(True, description="Runs are Ray tasks; false runs one after another in this process.")
    cpus_per_run: float = Field(1, gt=0)
    gpus_per_run: float = Field(0, ge=0)
    at_once: PositiveInt | None = Field(None, description="Runs at a time; null: as many as there is room for.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Comparison":
        for name in self.arms:
            if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name[0] in ".-":
                raise ValueError(f"arms.{name}: expected letters, digits, '_', '-' and '.', for it names directories")
        if FULL in self.arms:
            raise ValueError(f"arms.{FULL}: the name stands for full supervision; use the section `full`, or rename it")
        arms = [*self.arms, *([] if self.full is None else [FULL])]
        if self.reference not in arms:
            raise ValueError(
                f"reference: no arm {self.reference!r} (arms: {', '.join(arms)})" + nearest(self.reference, arms)
            )
        for name in self.only or ():
            if name not in self.arms:
                raise ValueError(f"only: no arm {name!r} (arms: {', '.join(self.arms)})" + nearest(name, self.arms))
        if self.only is not None and self.reference not in (*self.only, FULL):
            raise ValueError(f"only: expected the reference {self.reference!r} too, which the others are compared with")
        try:
            check_metrics(self.metrics, "metrics")
        except UserError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def directory(self) -> str:
        """Where the comparison is kept, absolute or a URI."""
        return locate_below(self.root, self.out)

    def run_directory(self, arm: str, seed: int) -> str:
        """Where the run of an arm and a seed is kept."""
        return storage.join(self.directory, "runs", f"{arm}-{seed}")

    def config_of(self, arm: str, seed: int) -> Config:
        """The configuration of one run; ``{seed}`` in an override is its seed, so that seeds may have their own pools.

        Args:
            arm: Name of an arm, or `FULL`.
            seed: Of the run.

        Raises:
            UserError: The base configuration cannot be read, or a field or value of it or of an override is wrong.
        """
        if arm == FULL:
            own = (*ALL_LABELS, *(self.full.overrides if self.full is not None else ()))
        else:
            own = self.arms[arm].overrides
        fixed = (
            write_override("root", self.root),
            write_override("run", self.run_directory(arm, seed)),
            f"seed={seed}",
            write_override("tracking.experiment", self.name),
            *IN_PROCESS,
        )
        try:
            varied = [override.replace(SEED, str(seed)) for override in (*self.overrides, *own)]
            return load_config(self.config, [*varied, *fixed])
        except UserError as error:
            raise UserError(f"arm {arm!r}: {error}") from error


def load_comparison(file: str | Path, overrides: Sequence[str] = ()) -> Comparison:
    """Reads the file of a comparison and checks every field and every arm.

    Args:
        file: The YAML file.
        overrides: ``key=value``; a key that is a field of the comparison changes it, any other is an override of
            every arm.

    Raises:
        UserError: Names the file or arm, the field, what was found and what was expected.
    """
    path = Path(file)
    tree = read_tree(path)
    if "arms" not in tree and "config" not in tree:
        raise UserError(f"{path}: has no arms, so it is no comparison; `hybridal run --config` takes the file of a run")
    of_arms = []
    for override in overrides:
        key, value = read_override(override)
        if key in Comparison.model_fields:
            tree[key] = value
        elif "." not in key and key not in Config.model_fields and (hint := _misspelt(key)):
            raise UserError(f"override {override!r}: no such field{hint}")
        else:
            of_arms.append(override)
    tree["overrides"] = [*_overrides_of(tree, path), *of_arms]
    tree.setdefault("name", path.stem)
    tree.setdefault("out", f"comparisons/{tree['name']}")
    if isinstance(tree.get("config"), str):
        tree["config"] = str(path.parent / tree["config"])
        base = read_tree(Path(tree["config"]))
        if "root" not in tree and "root" in base:
            tree["root"] = base["root"]
    try:
        comparison = Comparison.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error)}") from error
    _check_arms(comparison)
    if comparison.only is None:
        return comparison
    chosen = {name: arm for name, arm in comparison.arms.items() if name in comparison.only}
    return comparison.model_copy(update={"arms": chosen})


def _overrides_of(tree: Mapping[str, Any], path: Path) -> list[Any]:
    given = tree.get("overrides")
    found = [] if given is None else _as_overrides(given)
    if not isinstance(found, list):
        expected = "a mapping of fields, or a list of dotted.key=value"
        raise UserError(f"{path}: overrides: found {given!r}, expected {expected}")
    return found


def _check_arms(comparison: Comparison) -> None:
    """Refuses an arm that is no configuration, sets what is not its to set, or is measured on another split."""
    _refuse_fixed(comparison.overrides, "overrides")
    sections = {name: arm.overrides for name, arm in comparison.arms.items()}
    for name, own in {**sections, **({} if comparison.full is None else {FULL: comparison.full.overrides})}.items():
        _refuse_fixed(own, f"arm {name!r}")
    expected = comparison.config_of(comparison.reference, 0).evaluation.split
    for arm in [*comparison.arms, *([] if comparison.full is None else [FULL])]:
        found = comparison.config_of(arm, 0).evaluation.split
        if found != expected:
            raise UserError(
                f"arm {arm!r}: evaluation.split is {found!r}, expected {expected!r} as in the arm "
                f"{comparison.reference!r}: figures of different splits cannot be compared"
            )


def _refuse_fixed(overrides: Sequence[str], where: str) -> None:
    """Refuses fields that the comparison itself sets for every run."""
    for override in overrides:
        key, value = read_override(override)
        for field, _ in leaves({key: value}):  # a whole section may be given at once
            if field in SET_FOR_EVERY_RUN:
                raise UserError(f"{where}: {field} cannot be set, for {SET_FOR_EVERY_RUN[field]}")


def _misspelt(key: str) -> str:
    """The field of a comparison that is meant, as a hint; empty where one of a run is nearer, or none is near."""
    hint = nearest(key, Comparison.model_fields)
    return hint if hint == nearest(key, [*Comparison.model_fields, *Config.model_fields]) else ""


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        sections: dict[str, type[Section]] = {"arms": Arm, "full": FullSupervision}
        section = sections.get(str(problem["loc"][0]), Comparison) if len(problem["loc"]) > 1 else Comparison
        return f"{field}: no such field" + nearest(str(problem["loc"][-1]), section.model_fields)
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    return f"{field}: {problem['msg']}" + ("" if problem["type"] == "missing" else f", found {problem['input']!r}")
