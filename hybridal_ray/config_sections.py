"""The sections of the configuration. Every constant of the paper has its value here and nowhere else."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from hybridal_ray.section import Section

CountOrAll = PositiveInt | Literal["all"]


class DemoPoolConfig(Section):
    """The generated pool, made where `pool.path` points when nothing is there yet."""

    videos: int = Field(240, ge=20, description="Videos in all splits.")
    seed: int = Field(0, ge=0, description="Of the videos made.")


class PoolConfig(Section):
    """Where the videos are."""

    path: str = Field(description="Directory or URI of the pool; relative paths are taken below `root`.")
    demo: DemoPoolConfig | None = Field(None, description="Generate the demo pool at `path` on first use.")


class BudgetConfig(Section):
    """What is bought; the unit is one labelled frame (method §5)."""

    start_videos: CountOrAll = Field(12, description="Videos labelled before the first round, at random.")
    start_frames_per_video: CountOrAll = Field(4, description="Frames labelled in each of them, at random.")
    videos_per_round: PositiveInt | Annotated[list[PositiveInt], Field(min_length=1)] = Field(
        12, description="Videos bought in a round, or in each, the last number again and again; the paper adds 5 %."
    )
    frames_per_video: int = Field(4, ge=1, description="A: frames bought in, and averaged into the score of, a video.")
    max_frames_per_round: int | None = Field(None, ge=1, description="No round buys more frames than this.")
    max_frames: int | None = Field(None, ge=1, description="The run ends when this many frames are labelled.")
    max_videos: int | None = Field(None, ge=1, description="The run ends when this many videos have labels.")
    max_seconds: float | None = Field(None, gt=0, description="The run ends when this much labour is used up.")
    revisit_fraction: float = Field(0.0, ge=0, le=1, description="Share of a round's videos that have labels already.")

    def videos_in(self, round_index: int) -> int:
        """Videos that a round buys at its end."""
        videos = self.videos_per_round
        return videos if isinstance(videos, int) else videos[min(round_index, len(videos) - 1)]


class DetectorConfig(Section):
    """The network (method §8)."""

    name: str = Field("compact", description="A detector of README.md, or package.module:Name.")
    input_size: int = Field(64, ge=32, multiple_of=16, description="Frames are scaled to this square, in pixels.")
    clip_frames: int = Field(8, ge=1, description="T: frames of a clip.")
    clip_stride: int = Field(2, ge=1, description="Video frames from one frame of a clip to the next.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Arguments of the detector (docs/own_detector.md)."
    )
    pretrained: str | None = Field(
        None, description="Encoder weights, or a checkpoint, that a fresh detector starts from."
    )
    allow_partial: bool = Field(False, description="Take what fits of them, and leave the rest as it is.")
    feature_cache: str | None = Field(None, description="Keeps a frozen encoder's features between rounds, below root.")


class LossConfig(Section):
    """Weights of pseudo-labels and of the terms (method §7)."""

    weighting: Literal["none", "labelled", "gaussian", "stew"] = Field(
        "stew", description="How far pseudo-labels count: fully, not at all, by time, by time and space."
    )
    window: int = Field(2, ge=0, description="W: half width of STeW's window, in sampled frames.")
    temporal_sigma: float = Field(4 / 3, gt=0, description="σ_t of STeW, in sampled frames.")
    spatial_rule: Literal["mean", "symmetric"] = Field("mean", description="x̄, or max(x̄, 1 − x̄).")
    spatial_low: float = Field(0.0, ge=0, le=1, description="Window means at or below it count fully.")
    spatial_high: float = Field(1.0, ge=0, le=1, description="Window means at or above it count fully.")
    dice: float = Field(1.0, ge=0, description="Weight of the Dice loss.")
    classes: float = Field(1.0, ge=0, description="Weight of the class loss.")
    class_loss: Literal["cross_entropy", "spread"] = Field("cross_entropy", description="spread is the capsules'.")


class ClusteringConfig(Section):
    """Deep clustering (method §4), shared by training and CLAUS."""

    clusters: int = Field(5, ge=1, description="K; 5 on UCF-101-24 in the paper.")
    beta: float = Field(1e-6, ge=0, description="β: weight of the term; 1e-6 suits the capsule detector's latent.")
    start: float = Field(0.5, ge=0, lt=1, description="Share of the epochs trained before the centres start.")


class ValidationConfig(Section):
    """What the best epoch of a training is chosen by; the test split never is."""

    source: Literal["none", "labelled", "val"] = Field(
        "none", description="Labelled videos held out, the pool's split val, or nothing: the last epoch."
    )
    fraction: float = Field(0.1, gt=0, lt=1, description="Of the labelled groups, held out where source is labelled.")
    patience: int | None = Field(None, ge=1, description="Epochs without a better one that end the training.")


class TrainingConfig(Section):
    """A round's training."""

    epochs: int = Field(10, ge=1, description="Of a round's training.")
    steps_per_epoch: PositiveInt | Literal["auto"] = Field(
        100, description="auto: as many as the labels take, so that training grows with them."
    )
    clips_per_video: int = Field(8, ge=1, description="Clips of each labelled video in an epoch of `auto` length.")
    clips_per_frame: float | None = Field(None, gt=0, description="Of each labelled frame, instead of each video.")
    batch_size: int = Field(8, ge=1, description="Clips in a step, over all workers.")
    accumulate: int = Field(1, ge=1, description="Parts that a worker's share is run in; lowers its memory.")
    optimiser: Literal["adamw", "adam"] = Field("adamw", description="The paper has adam.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Of Adam; the paper has 0.5 and 0.999.")
    learning_rate: float = Field(1e-3, gt=0, description="The highest, after the warm-up.")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="Of the learning rate after the warm-up.")
    warmup_steps: int = Field(50, ge=0, description="Steps in which the learning rate rises from 0.")
    weight_decay: float = Field(1e-4, ge=0, description="Of the optimiser.")
    clip_norm: float = Field(1.0, gt=0, description="Longer gradients are cut to this norm.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: bfloat16 on a GPU that has it, float16 on an older one, float32 on a CPU."
    )
    average: float = Field(0.0, ge=0, lt=1, description="Decay of a moving average of the weights; 0 takes none.")
    channels_last: bool = Field(False, description="Memory layout of convolutions.")
    compile: bool = Field(False, description="torch.compile.")
    freeze_encoder: bool = Field(False, description="Train the rest of the detector alone.")
    balance_classes: bool = Field(False, description="Draw every class, not every video, equally often.")
    unlabelled: float = Field(0.0, ge=0, lt=1, description="Share of unlabelled clips, for the clustering term alone.")
    flip: bool = Field(True, description="Mirror half of the clips.")
    crop: float = Field(0.0, ge=0, lt=1, description="Strength of the scale-jitter crop.")
    colour: float = Field(0.7, ge=0, le=1, description="Strength of the colour augmentation.")
    loaders: int = Field(1, ge=1, description="Threads of each worker that make batches ahead of time.")
    cache_mib: int = Field(1024, ge=0, description="Decoded frames kept by each worker, in MiB.")
    warm_start: bool = Field(False, description="Start from the last round's weights instead of fresh ones.")
    loss: LossConfig = LossConfig()
    validation: ValidationConfig = ValidationConfig()
    workers: int = Field(1, ge=0, description="Ray Train workers; 0 trains in the loop's own process.")
    cpus_per_worker: float = Field(1, gt=0, description="CPU cores of each.")
    gpus_per_worker: float = Field(0, ge=0, description="GPUs of each; a fraction, for one worker alone, shares one.")
    max_failures: int = Field(3, ge=0, description="Restarts of lost workers from the last checkpoint.")


class ScoringConfig(Section):
    """Monte Carlo Dropout over the pool (method §1 and §2)."""

    passes: int = Field(10, ge=1, description="R: passes with dropout over each clip.")
    measure: Literal["neg_log", "entropy", "bald", "neighbour_disagreement"] = Field(
        "neg_log", description="Uncertainty of a pixel; some strategies bring their own (docs/strategies.md)."
    )
    reading: Literal["mean_of_log", "log_of_mean"] = Field("mean_of_log", description="Reading of equation U.")
    reduction: Literal["mean", "sum"] = Field(
        "mean", description="Of the pixels of the predicted foreground of a frame."
    )
    foreground_threshold: float = Field(0.4, gt=0, lt=1, description="θ, on the mean probability.")
    empty_frame_score: float = Field(0.0, description="What a frame without predicted foreground gets.")
    class_weight: float = Field(
        0.0,
        ge=0,
        description="Times the entropy of the predicted class, in [0, 1], added to V_score; the paper has none.",
    )
    proximity_sigma: float = Field(8 / 3, gt=0, description="σ_p of the proximity penalty, in video frames.")
    proximity_window: int = Field(4, ge=0, description="Half window of the proximity penalty, in video frames.")
    spacing: Literal["window", "parts"] = Field(
        "parts",
        description="parts: one frame of each of as many equal parts of a video as are bought; window: the paper's.",
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="bfloat16 is faster and not exact.")
    clip_step: int = Field(1, ge=1, description="Score every n-th clip of a video; 1, all, is exact.")
    stable_ranking: float | None = Field(
        None, ge=-1, le=1, description="End a clip's passes once they rank its frames this reliably; null is exact."
    )
    passes_at_once: int = Field(4, ge=2, description="After how many passes that is asked.")
    pool_fraction: float = Field(1.0, gt=0, le=1, description="Share of the pool scored in a round, drawn by the seed.")
    score_index: str | None = Field(
        None, description="Lists finished scorings, below root; the same one is not computed again."
    )
    actors: NonNegativeInt | Literal["auto"] = Field(
        1, description="Ray actors; auto: as many as the cluster has room for; 0 scores in the loop's own process."
    )
    cpus_per_actor: float = Field(1, gt=0, description="CPU cores of each.")
    gpus_per_actor: float = Field(0, ge=0, description="GPUs of each; a fraction shares one.")
    videos_per_chunk: PositiveInt | Literal["auto"] = Field(
        "auto", description="Videos that an actor takes, and writes, at a time; auto: 8, more in pools beyond 6,400."
    )
    seconds_per_video: float = Field(
        600, gt=0, description="For each 1,000 frames of a video, or fewer; an actor that is longer at it is ended."
    )


class SelectionConfig(Section):
    """Who picks the next batch (method §4)."""

    strategy: str = Field("claus", description="Registered strategy, or package.module:Name.")
    options: dict[str, Any] = Field(default_factory=dict, description="Arguments of the strategy.")
    start_strategy: str = Field("random", description="Picks the first batch, when nothing is scored yet.")
    start_options: dict[str, Any] = Field(default_factory=dict, description="Arguments of start_strategy.")
    start_latents: str | None = Field(
        "appearance",
        description="For a start_strategy that needs latents: 'appearance', 'pretrained', or a Parquet file.",
    )
    memory_mib: int = Field(1024, ge=1, description="Latents and clusters held at once; what is larger is streamed.")


class TargetConfig(Section):
    """Ends a run whose detector is as good as was asked for."""

    metric: str = Field("frame_map@0.5", description="Figure on the split val.")
    at_least: float = Field(gt=0, le=1, description="The target.")
    surely: bool = Field(False, description="The lower end of its 95 % interval must reach the target.")


class GainConfig(Section):
    """Ends a run in which labels no longer pay."""

    metric: str = Field("frame_map@0.5", description="Figure on the split val.")
    per_hour: float = Field(gt=0, description="What the 95 % interval of the gain per labelled hour must lie below.")
    rounds: int = Field(1, ge=1, description="Rounds over which the gain is taken.")


class FlatUncertaintyConfig(Section):
    """Ends a run whose detector is not getting surer of the pool."""

    change: float = Field(0.02, gt=0, description="Largest change of the mean uncertainty, relative to it.")
    rounds: int = Field(2, ge=1, description="Rounds over which it is taken.")


class StoppingConfig(Section):
    """What ends a run before `rounds` are done, beside the bounds of `budget`; the first that holds does."""

    target: TargetConfig | None = None
    gain: GainConfig | None = None
    flat_uncertainty: FlatUncertaintyConfig | None = None


class FaultsConfig(Section):
    """What the simulated annotator gets wrong; see `oracles.faulty`."""

    box_jitter: float = Field(
        0.0, ge=0, description="Standard deviation of each edge of a box, as a share of its side."
    )
    missed: float = Field(0.0, ge=0, le=1, description="Share of the actors on a frame that are not drawn.")
    wrong_class: float = Field(0.0, ge=0, le=1, description="Share of the actors that are given another class.")
    cannot_tell: float = Field(0.0, ge=0, le=1, description="Share of the frames that are refused.")
    slowness: float = Field(1.0, gt=0, description="Times the modelled seconds.")
    pieces: int = Field(1, ge=1, description="Parts in which the answers of a purchase come, in no order.")


class OracleConfig(Section):
    """Who labels, and what it costs."""

    name: str = Field("simulated", description="Registered oracle, or package.module:Name.")
    start_from_pool: bool = Field(False, description="The labels that the pool's own training videos have come first.")
    options: dict[str, Any] = Field(default_factory=dict, description="Arguments of an oracle that asks people.")
    overlap: float = Field(0.0, ge=0, le=1, description="Share of the frames that two people answer.")
    clip_seconds: float = Field(4.0, gt=0, le=60, description="Length of the clip beside each frame.")
    propose_above: float = Field(0.2, ge=0, le=1, description="The detector's boxes of higher score are shown.")
    poll_seconds: float = Field(60.0, gt=0, description="How often a job that waits for people looks for labels.")
    seconds_per_video: float = Field(10.0, ge=0, description="Modelled labour of opening a video.")
    seconds_per_frame: float = Field(3.0, ge=0, description="Modelled labour of judging a frame.")
    seconds_per_box: float = Field(12.0, ge=0, description="Modelled labour of drawing and naming a box.")
    faults: FaultsConfig | None = Field(None, description="Errors of an annotator who is simulated.")


class EvaluationConfig(Section):
    """From foreground maps to tubes, and to figures of every convention."""

    split: Literal["val", "test"] = Field("test", description="Whose figures a round tells.")
    mask_threshold: float = Field(0.5, gt=0, lt=1, description="Pixels of greater probability are an actor's.")
    min_area: float = Field(0.002, ge=0, lt=1, description="Smallest actor, as a share of the picture.")
    nms_iou: float = Field(0.5, gt=0, le=1, description="Of boxes on a frame.")
    link_iou: float = Field(0.3, ge=0, le=1, description="Least IoU of a box with the tube it joins.")
    max_gap: int = Field(4, ge=0, description="Frames without a box that a tube bridges.")
    min_tube_frames: int = Field(4, ge=1, description="Shorter tubes are dropped.")
    trim: float = Field(0.0, ge=0, le=1, description="Ends of a tube are cut off below this share of its best box.")
    tube_nms_iou: float = Field(0.5, gt=0, le=1, description="Of tubes in a video.")
    tube_score: Literal["mean", "max", "median"] = Field("mean", description="Of the objectness of its boxes.")
    min_class_probability: float = Field(
        0.001, ge=0, lt=1, description="Less probable classes of a tube are not written, save the most probable."
    )
    resamples: int = Field(200, ge=0, description="Bootstrap draws of videos behind the intervals; 0 has none.")


class ClusterConfig(Section):
    """The Ray cluster."""

    may_grow: bool = Field(False, description="An autoscaler adds nodes: do not insist on having them at the start.")


class TrackingConfig(Section):
    """MLflow."""

    uri: str | None = Field(
        None, description="Tracking server; else MLFLOW_TRACKING_URI, else SQLite below `root`. 'none' switches it off."
    )
    figures: bool = Field(True, description="Draw the figures of every round into its report.")
    experiment: str = Field("hybridal", description="Of MLflow.")
    model_name: str = Field("hybridal-detector", description="Name in the model registry.")
