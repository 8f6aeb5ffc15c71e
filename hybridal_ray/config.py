"""The configuration: one tree, read from YAML and dotted overrides. It stops at the loop."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from hybridal_ray.config_files import locate_below, read_override, read_tree
from hybridal_ray.config_sections import (
    BudgetConfig,
    ClusterConfig,
    ClusteringConfig,
    DetectorConfig,
    EvaluationConfig,
    OracleConfig,
    PoolConfig,
    ScoringConfig,
    SelectionConfig,
    StoppingConfig,
    TrackingConfig,
    TrainingConfig,
)
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.registry import nearest
from hybridal_ray.section import Section, fields_below


class Config(Section):
    """One run of the active-learning loop."""

    root: str = Field("~/hybridal", description="Directory or URI that relative paths below are taken from.")
    run: str = Field(description="The run directory, path or URI.")
    seed: int = Field(0, ge=0, description="Of everything random in the run.")
    rounds: int = Field(4, ge=1, description="Times train, evaluate, score, select are run.")
    device: str = Field("auto", description="For stages without a GPU of Ray's: auto, cpu or cuda.")
    pool: PoolConfig
    budget: BudgetConfig = BudgetConfig()
    detector: DetectorConfig = DetectorConfig()
    training: TrainingConfig = TrainingConfig()
    clustering: ClusteringConfig = ClusteringConfig()
    scoring: ScoringConfig = ScoringConfig()
    selection: SelectionConfig = SelectionConfig()
    stopping: StoppingConfig = StoppingConfig()
    oracle: OracleConfig = OracleConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: TrackingConfig = TrackingConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _trains_as_it_says(self) -> "Config":
        training, loss = self.training, self.training.loss
        if not all(0 <= beta < 1 for beta in training.betas):
            raise ValueError(
                f"training.betas: found {list(training.betas)}; expected numbers of at least 0 and below 1"
            )
        if loss.spatial_low > loss.spatial_high:
            raise ValueError(
                f"training.loss.spatial_low: found {loss.spatial_low}; expected at most "
                f"training.loss.spatial_high={loss.spatial_high}"
            )
        if training.validation.patience is not None and training.validation.source == "none":
            raise ValueError(
                f"training.validation.patience: found {training.validation.patience} while "
                "training.validation.source=none holds nothing out to choose by; expected source=labelled or val"
            )
        if (
            self.device.startswith("cuda")
            and training.workers
            and not training.gpus_per_worker
            and self.scoring.gpus_per_actor
        ):
            raise ValueError(
                f"device: {self.device!r} needs workers that reserve a GPU, but training.gpus_per_worker is 0; "
                "expected a positive number, such as 1, or training.workers=0"
            )
        return self

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Config":
        training = self.training
        parts = max(training.workers, 1) * training.accumulate
        if training.batch_size % parts:
            raise ValueError(
                f"training.batch_size: {training.batch_size} does not divide over training.workers={training.workers} "
                f"and training.accumulate={training.accumulate}"
            )
        unlabelled = round(training.unlabelled * training.batch_size)
        if training.unlabelled and not 0 < unlabelled < training.batch_size:
            raise ValueError(
                f"training.unlabelled: {training.unlabelled} of training.batch_size={training.batch_size} are "
                f"{unlabelled} clips; expected at least one, and one labelled clip beside them"
            )
        if training.workers > 1 and 0 < training.gpus_per_worker < 1:
            raise ValueError(
                f"training.gpus_per_worker: found {training.gpus_per_worker}; expected whole GPUs where "
                f"training.workers={training.workers}, for two workers cannot exchange gradients on one"
            )
        if self.detector.feature_cache is not None and not training.freeze_encoder:
            raise ValueError(
                "detector.feature_cache: an encoder that is trained has other features in every round; "
                "expected training.freeze_encoder=true beside it"
            )
        return self

    @property
    def uses_ray(self) -> bool:
        """Whether any stage runs on Ray."""
        return bool(self.training.workers or self.scoring.actors)

    @property
    def tracking_uri(self) -> str | None:
        """The MLflow tracking URI in force; None where tracking is switched off."""
        uri = self.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")
        if uri is None and not storage.is_uri(self.locate("")):
            uri = f"sqlite:///{self.locate('mlflow.db')}"
        return None if uri == "none" else uri

    def locate(self, location: str) -> str:
        """A path of the configuration as an absolute path or a URI, relative ones taken below `root`."""
        return locate_below(self.root, location)


# What pydantic calls the members of unions in the places of its errors.
UNION_MEMBERS = ("constrained-int", "list[constrained-int]", "literal['all']", "literal['auto']")

# Fields that may change between two starts of one run, because they cannot falsify what is finished.
FREE_FIELDS = frozenset(
    {
        "root", "run", "rounds", "device", "pool.path", "pool.demo", "tracking", "cluster",
        "budget.max_frames", "budget.max_videos", "budget.max_seconds", "stopping",
        "training.workers", "training.cpus_per_worker", "training.gpus_per_worker", "training.max_failures",
        "training.cache_mib", "training.loaders", "training.accumulate", "training.channels_last", "training.compile",
        "detector.feature_cache",
        "scoring.actors", "scoring.cpus_per_actor", "scoring.gpus_per_actor",
        "scoring.seconds_per_video", "scoring.score_index", "oracle.options", "oracle.poll_seconds",
    }
)  # fmt: skip

# Mappings whose keys are no fields of ours: arguments of extensions.
OPTION_FIELDS = frozenset(name for name, field in fields_below(Config) if get_origin(field.annotation) is dict)

# Fields that may change until a stage is done in some round, because nothing before it goes by them.
FREE_UNTIL = {
    "train": frozenset({"training", "clustering.beta", "clustering.start"}),
    "evaluate": frozenset({"evaluation"}),
    "score": frozenset({"scoring"}),
}
# Where a pretrained detector has scored the pool for the first batch, no more of scoring than this.
FREE_BESIDE_START_SCORES = frozenset({"scoring.passes", "scoring.measure"})


def load_config(file: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file, applies overrides, and checks every field.

    Args:
        file: The YAML file.
        overrides: ``dotted.key=value``, the value in YAML, applied in order.

    Raises:
        UserError: Names the file or override, the field, what was found and what was expected.
    """
    path = Path(file)
    tree = read_tree(path)
    if "arms" in tree:
        raise UserError(f"{path}: has arms, so it is a comparison; `hybridal compare` and jobs/compare.py take it")
    for override in overrides:
        _apply(tree, override)
    return parse_config(tree, str(path))


def parse_config(tree: dict[str, Any], source: str) -> Config:
    """Checks a configuration given as a plain tree.

    Args:
        tree: Sections and fields.
        source: Where it comes from, for messages.

    Raises:
        UserError: As in `load_config`, the first problem of the tree.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{source}: {_first_problem(error)}") from error


def _apply(tree: dict[str, Any], override: str) -> None:
    key, value = read_override(override)
    *sections, field = key.split(".")
    place: Any = tree
    for depth, section in enumerate(sections, start=1):
        if place.get(section) is None:
            place[section] = {}
        place = place[section]
        if not isinstance(place, dict):
            dotted = ".".join(sections[:depth])
            raise UserError(f"{dotted}: found {place!r}, expected a section: override {override!r} sets a field of it")
    place[field] = value


def _first_problem(error: ValidationError) -> str:
    # A mistyped field that is required is missing too: its typing error is what the user can mend.
    problem, *others = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    dotted = _dotted(problem["loc"])
    if problem["type"] == "extra_forbidden":
        section = _section(problem["loc"][:-1])
        return f"{dotted}: no such field" + nearest(str(problem["loc"][-1]), section.model_fields)
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    found = "" if problem["type"] == "missing" else f", found {problem['input']!r}"
    if problem["type"] == "model_type":
        return f"{dotted}: expected a section with {', '.join(_section(problem['loc']).model_fields)}{found}"
    alternatives = [other["msg"] for other in others if _dotted(other["loc"]) == dotted]
    return f"{dotted}: {' or '.join([problem['msg'], *alternatives])}{found}"


def _dotted(location: Sequence[str | int]) -> str:
    """The field that pydantic names, without the members of a union that it goes through."""
    return ".".join(str(part) for part in location if part not in UNION_MEMBERS)


def _section(location: Sequence[str | int]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for name in location:
        annotation = section.model_fields[str(name)].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        section = next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return section
