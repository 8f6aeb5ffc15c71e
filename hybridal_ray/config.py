"""The configuration: one tree, read from YAML and dotted overrides. It stops at the loop.

Every constant of the paper has its value here and nowhere else; the descriptions name the source.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.registry import nearest

CountOrAll = PositiveInt | Literal["all"]


class Section(BaseModel):
    """A part of the configuration; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DemoPoolConfig(Section):
    """The generated pool, made where `pool.path` points when nothing is there yet."""

    videos: int = Field(240, ge=20, description="Videos in all splits.")
    seed: int = Field(0, ge=0)


class PoolConfig(Section):
    """Where the videos are."""

    path: str = Field(description="Directory or URI of the pool; relative paths are taken below `root`.")
    demo: DemoPoolConfig | None = Field(None, description="Generate the demo pool at `path` on first use.")


class BudgetConfig(Section):
    """What is bought; the unit is one labelled frame (method §5)."""

    start_videos: CountOrAll = Field(12, description="Videos labelled before the first round, at random.")
    start_frames_per_video: CountOrAll = Field(4, description="Frames labelled in each of them, at random.")
    videos_per_round: int = Field(12, ge=1, description="Videos bought in a round; the paper adds 5 % of them.")
    frames_per_video: int = Field(4, ge=1, description="A: frames bought in, and averaged into the score of, a video.")
    max_frames_per_round: int | None = Field(None, ge=1, description="No round buys more frames than this.")
    max_frames: int | None = Field(None, ge=1, description="The run ends when this many frames are labelled.")
    revisit_fraction: float = Field(0.0, ge=0, le=1, description="Share of a round's videos that have labels already.")


class DetectorConfig(Section):
    """The network (method §8)."""

    name: str = Field("compact", description="Registered detector, or package.module:Name.")
    input_size: int = Field(64, ge=32, multiple_of=16, description="Frames are scaled to this square, in pixels.")
    clip_frames: int = Field(8, ge=1, description="T.")
    clip_stride: int = Field(2, ge=1, description="Video frames from one frame of a clip to the next.")
    options: dict[str, Any] = Field(default_factory=dict, description="Further arguments of the detector.")


class LossConfig(Section):
    """Weights of pseudo-labels and of the terms (method §7)."""

    weighting: Literal["none", "labelled", "gaussian", "stew"] = "stew"
    window: int = Field(2, ge=0, description="W: half width of STeW's window, in sampled frames.")
    temporal_sigma: float = Field(4 / 3, gt=0, description="σ_t of STeW, in sampled frames.")
    spatial_rule: Literal["mean", "symmetric"] = Field("mean", description="x̄, or max(x̄, 1 − x̄).")
    spatial_low: float = Field(0.0, ge=0, le=1, description="Window means at or below it count fully.")
    spatial_high: float = Field(1.0, ge=0, le=1, description="Window means at or above it count fully.")
    dice: float = Field(1.0, ge=0, description="Weight of the Dice loss.")
    classes: float = Field(1.0, ge=0, description="Weight of the class loss.")


class ClusteringConfig(Section):
    """Deep clustering (method §4), shared by training and CLAUS."""

    clusters: int = Field(5, ge=1, description="K; 5 on UCF-101-24 in the paper.")
    beta: float = Field(1e-6, ge=0, description="β: weight of the term; 1e-6 suits the capsule detector's latent.")
    start: float = Field(0.5, ge=0, lt=1, description="Share of the epochs trained before the centres start.")


class TrainingConfig(Section):
    """A round's training."""

    epochs: int = Field(10, ge=1)
    steps_per_epoch: int = Field(100, ge=1)
    batch_size: int = Field(8, ge=1, description="Clips in a batch, over all workers.")
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = Field(50, ge=0)
    weight_decay: float = Field(1e-4, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    flip: bool = Field(True, description="Mirror half of the clips.")
    colour: float = Field(0.7, ge=0, le=1, description="Strength of the colour augmentation.")
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    cache_mib: int = Field(1024, ge=0, description="Decoded frames kept by each worker, in MiB.")
    warm_start: bool = Field(False, description="Start from the last round's weights instead of fresh ones.")
    loss: LossConfig = LossConfig()
    workers: int = Field(1, ge=0, description="Ray Train workers; 0 trains in the loop's own process.")
    cpus_per_worker: float = Field(1, gt=0)
    gpus_per_worker: float = Field(0, ge=0)
    max_failures: int = Field(3, ge=0, description="Restarts of lost workers from the last checkpoint.")


class ScoringConfig(Section):
    """Monte Carlo Dropout over the pool (method §1 and §2)."""

    passes: int = Field(10, ge=1, description="R.")
    reading: Literal["mean_of_log", "log_of_mean"] = Field("mean_of_log", description="Reading of equation U.")
    reduction: Literal["mean", "sum"] = Field("mean", description="Over the predicted foreground of a frame.")
    foreground_threshold: float = Field(0.4, gt=0, lt=1, description="θ, on the mean probability.")
    empty_frame_score: float = Field(0.0, description="What a frame without predicted foreground gets.")
    proximity_sigma: float = Field(8 / 3, gt=0, description="σ_p of the proximity penalty, in video frames.")
    proximity_window: int = Field(4, ge=0, description="Half window of the proximity penalty, in video frames.")
    actors: int = Field(1, ge=0, description="Ray actors; 0 scores in the loop's own process.")
    cpus_per_actor: float = Field(1, gt=0)
    gpus_per_actor: float = Field(0, ge=0)
    videos_per_chunk: int = Field(8, ge=1, description="Videos that an actor takes, and writes, at a time.")
    seconds_per_video: float = Field(600, gt=0, description="A video that takes longer is set aside.")


class SelectionConfig(Section):
    """Who picks the next batch (method §4)."""

    strategy: str = Field("claus", description="Registered strategy, or package.module:Name.")
    options: dict[str, Any] = Field(default_factory=dict, description="Arguments of the strategy.")
    start_strategy: str = Field("random", description="Picks the first batch, when nothing is scored yet.")


class OracleConfig(Section):
    """Who labels, and what it costs."""

    name: str = Field("simulated", description="Registered oracle.")
    seconds_per_video: float = Field(10.0, ge=0, description="Modelled labour of opening a video.")
    seconds_per_frame: float = Field(3.0, ge=0, description="Modelled labour of judging a frame.")
    seconds_per_box: float = Field(12.0, ge=0, description="Modelled labour of drawing and naming a box.")


class EvaluationConfig(Section):
    """From foreground maps to tubes; metrics follow the convention `strict`."""

    split: Literal["val", "test"] = "test"
    mask_threshold: float = Field(0.5, gt=0, lt=1)
    min_area: float = Field(0.002, ge=0, lt=1, description="Smallest actor, as a share of the picture.")
    nms_iou: float = Field(0.5, gt=0, le=1)
    link_iou: float = Field(0.3, ge=0, le=1)
    max_gap: int = Field(4, ge=0, description="Frames without a box that a tube bridges.")
    min_tube_frames: int = Field(4, ge=1)
    min_class_probability: float = Field(0.05, ge=0, lt=1)


class ClusterConfig(Section):
    """The Ray cluster."""

    may_grow: bool = Field(False, description="An autoscaler adds nodes: do not insist on having them at the start.")


class TrackingConfig(Section):
    """MLflow."""

    uri: str | None = Field(
        None, description="Tracking server; else MLFLOW_TRACKING_URI, else SQLite below `root`. 'none' switches it off."
    )
    figures: bool = Field(True, description="Draw the figures of every round into its report.")
    experiment: str = "hybridal"
    model_name: str = Field("hybridal-detector", description="Name in the model registry.")


class Config(Section):
    """One run of the active-learning loop."""

    root: str = Field("~/hybridal", description="Directory or URI that relative paths below are taken from.")
    run: str = Field(description="The run directory, path or URI.")
    seed: int = Field(0, ge=0)
    rounds: int = Field(4, ge=1, description="Times train, evaluate, score, select are run.")
    device: str = Field("auto", description="For stages without a GPU of Ray's: auto, cpu or cuda.")
    pool: PoolConfig
    budget: BudgetConfig = BudgetConfig()
    detector: DetectorConfig = DetectorConfig()
    training: TrainingConfig = TrainingConfig()
    clustering: ClusteringConfig = ClusteringConfig()
    scoring: ScoringConfig = ScoringConfig()
    selection: SelectionConfig = SelectionConfig()
    oracle: OracleConfig = OracleConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: TrackingConfig = TrackingConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def _batch_divides(self) -> "Config":
        if self.training.workers and self.training.batch_size % self.training.workers:
            raise ValueError(
                f"training.batch_size: {self.training.batch_size} does not divide over "
                f"training.workers={self.training.workers}"
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
        root = self.root if storage.is_uri(self.root) else str(Path(self.root).expanduser().absolute())
        return storage.resolve_uri(location if storage.is_uri(location) else os.path.expanduser(location), root)


# Fields that may change between two starts of one run, because they cannot falsify what is finished.
FREE_FIELDS = frozenset(
    {
        "root", "run", "rounds", "device", "pool.path", "pool.demo", "budget.max_frames", "tracking", "cluster",
        "training.workers", "training.cpus_per_worker", "training.gpus_per_worker", "training.max_failures",
        "training.cache_mib", "scoring.actors", "scoring.cpus_per_actor", "scoring.gpus_per_actor",
        "scoring.seconds_per_video",
    }
)  # fmt: skip


def load_config(file: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file, applies overrides, and checks every field.

    Args:
        file: The YAML file.
        overrides: ``dotted.key=value``, the value in YAML, applied in order.

    Raises:
        UserError: Names the file or override, the field, what was found and what was expected.
    """
    path = Path(file)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected a mapping of fields, found {type(tree).__name__}")
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
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise UserError(f"override {override!r}: expected dotted.key=value")
    *sections, field = key.split(".")
    for section in sections:
        if not isinstance(tree.get(section), dict):
            tree[section] = {}
        tree = tree[section]
    try:
        tree[field] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"override {override!r}: the value is not valid YAML") from error


def _first_problem(error: ValidationError) -> str:
    problem, *others = error.errors()
    dotted = _dotted(problem["loc"])
    if problem["type"] == "extra_forbidden":
        section = _section(problem["loc"][:-1])
        return f"{dotted}: no such field" + nearest(str(problem["loc"][-1]), section.model_fields)
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    found = "" if problem["type"] == "missing" else f", found {problem['input']!r}"
    alternatives = [other["msg"] for other in others if _dotted(other["loc"]) == dotted]
    return f"{dotted}: {' or '.join([problem['msg'], *alternatives])}{found}"


def _dotted(location: Sequence[str | int]) -> str:
    """The field that pydantic names, without the members of a union that it goes through."""
    return ".".join(str(part) for part in location if part not in ("constrained-int", "literal['all']"))


def _section(location: Sequence[str | int]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for name in location:
        annotation = section.model_fields[str(name)].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        section = next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return section
