"""A pool and a run directory as the stages would leave them, with invented numbers in real tables and real videos."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import torch

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.pool import ledger, storage, table_files
from hybridal_ray.pool.round_tables import CLUSTERS_SCHEMA, PREDICTIONS_SCHEMA, SCORES_SCHEMA, SELECTION_SCHEMA
from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool, save_pool

CLASSES = ("wave", "kick")
FRAMES, WIDTH, HEIGHT = 12, 64, 48
FRAMES_A_VIDEO = 2  # labelled in each video of a purchase
LATENT = 6
SPEC = DetectorSpec(
    "compact", num_classes=2, input_size=32, clip_frames=4, clip_stride=1, options={"width": 8, "pyramid_width": 8}
)


def write_pool(root: Path, train: int = 8, test: int = 4) -> Pool:
    """A pool whose videos share two files; each shows a bright square that moves to the right."""
    for name, colour in (("red", (220, 40, 40)), ("blue", (40, 80, 220))):
        _write_video(root / f"{name}.mp4", colour)
    videos, tubes = [], []
    for index in range(train + test):
        video_id = f"video-{index:02d}"
        videos.append(
            {
                "video_id": video_id,
                "uri": ("red.mp4", "blue.mp4")[index % 2],
                "split": "train" if index < train else "test",
                "group": video_id,
                "num_frames": FRAMES,
                "fps": 25.0,
                "width": WIDTH,
                "height": HEIGHT,
                "status": "ok",
                "reason": None,
            }
        )
        for frame in range(FRAMES):
            x1 = 4.0 + 2 * frame
            corners = {"x1": x1, "y1": 12.0, "x2": x1 + 16, "y2": 36.0}
            row = {"video_id": video_id, "tube_id": "a", "class_id": index % 2, "frame": frame, "mask": None}
            tubes.append({**row, **corners})
    pool = Pool(
        root=str(root),
        name="squares",
        classes=CLASSES,
        videos=pa.Table.from_pylist(videos, VIDEOS_SCHEMA),
        tubes=pa.Table.from_pylist(tubes, TUBES_SCHEMA),
    )
    save_pool(pool)
    return pool


def write_run(root: Path, pool: Pool, rounds: int, *, clusters: int = 2, videos_a_round: int = 2) -> None:
    """A run of whole rounds (the last one without a purchase after it)."""
    storage.write_bytes(
        storage.join(str(root), "config.yaml"),
        b"pool: squares\nbudget:\n  videos: 2\n  frames: [1, 2]\nseed: 0\nevaluation:\n  split: test\n",
    )
    buy(root, pool, 0, videos_a_round)
    for index in range(rounds):
        finish_train(root, index)
        finish_evaluate(root, pool, index)
        finish_select(root, pool, index, clusters=clusters, videos_a_round=videos_a_round)
        if index + 1 < rounds:
            buy(root, pool, index + 1, videos_a_round)
            _finish(root, index, "label", {"seconds": 0.1, "boxes": 4})


def buy(root: Path, pool: Pool, round_index: int, videos: int) -> None:
    """Labels `FRAMES_A_VIDEO` frames of the next videos, at 3 seconds of labour each."""
    train = pool.usable_videos("train")[round_index * videos : (round_index + 1) * videos]
    box = {"tube_id": "a", "class_id": 0, "x1": 4.0, "y1": 12.0, "x2": 20.0, "y2": 36.0, "mask": None}
    rows = [
        {
            "video_id": video.video_id,
            "frame": frame,
            "round": round_index,
            "source": "x",
            "seconds": 3.0,
            "boxes": [box],
        }
        for video in train
        for frame in range(FRAMES_A_VIDEO)
    ]
    ledger.append(str(root), f"round-{round_index:03d}", pa.Table.from_pylist(rows, ledger.LABELS_SCHEMA))


def finish_train(root: Path, index: int) -> None:
    torch.manual_seed(index)
    save_detector(
        _in_round(root, index, "train/checkpoint"), SPEC, build_detector(SPEC).state_dict(), torch.zeros(2, LATENT)
    )
    history = [
        {
            "epoch": epoch,
            "loss": 1.6 * 0.8**epoch + 0.2,
            "mask_loss": 0.9 * 0.8**epoch + 0.1,
            "class_loss": 0.6 * 0.8**epoch + 0.08,
            "clustering_loss": 0.1 * 0.8**epoch + 0.02,
            "learning_rate": 1e-3 * (1 - epoch / 20),
            "seconds": 1.0,
        }
        for epoch in range(20)
    ]
    storage.write_json(_in_round(root, index, "train/history.json"), history)
    _finish(root, index, "train", {"seconds": 12.5, "steps": 80})


def finish_evaluate(root: Path, pool: Pool, index: int) -> None:
    share = 1 - 0.6 * 0.6**index
    metrics = {
        "frame_map@0.5": 0.8 * share,
        "frame_map@0.5:0.95": 0.45 * share,
        "video_map@0.2": 0.9 * share,
        "video_map@0.5": 0.7 * share,
        "frame_ap_localisation@0.5": 0.9 * share,
        "tube_class_accuracy": 0.85 * share,
        "per_class": {name: {"frame_ap@0.5": 0.8 * share} for name in pool.classes},
    }
    test = [video.video_id for video in pool.usable_videos("test")]
    generator = np.random.default_rng(index)
    predictions = [
        {
            **{key: row[key] for key in ("video_id", "tube_id", "frame", "class_id")},
            **{key: row[key] + generator.normal(0, 3) for key in ("x1", "y1", "x2", "y2")},
            "score": 0.75,
            "tube_score": 0.8,
        }
        for row in pool.tubes_of(test).to_pylist()
    ]
    table = pa.Table.from_pylist(predictions, PREDICTIONS_SCHEMA)
    table_files.write_table(_in_round(root, index, "evaluate/predictions/part-00000.parquet"), table)
    storage.write_json(_in_round(root, index, "evaluate/metrics.json"), metrics)
    _finish(root, index, "evaluate", {"seconds": 3.5})


def finish_select(root: Path, pool: Pool, index: int, *, clusters: int, videos_a_round: int) -> None:
    """Scores every training video but one that does not decode, and picks two frames of some videos in each cluster."""
    videos = pool.usable_videos("train")
    generator = np.random.default_rng(index)
    cluster_of = {video.video_id: place % clusters for place, video in enumerate(videos)}
    middles = generator.normal(0, 3, (clusters, LATENT))
    scores = [_score_row(video.video_id, middles[cluster_of[video.video_id]], generator) for video in videos]
    scores[-1] = {"video_id": videos[-1].video_id, "error": "cannot be decoded"}
    table = pa.Table.from_pylist(scores, SCORES_SCHEMA)
    table_files.write_table(_in_round(root, index, "scores/part-00000.parquet"), table)
    _finish(root, index, "score", {"seconds": 5.5, "failed": 1})
    unlabelled = scores[videos_a_round * (index + 1) : -1]
    selection = _selection_rows(unlabelled[: 2 * clusters], cluster_of)
    table_files.write_table(
        _in_round(root, index, "selection.parquet"), pa.Table.from_pylist(selection, SELECTION_SCHEMA)
    )
    assigned = [{"video_id": video_id, "cluster": cluster} for video_id, cluster in cluster_of.items()]
    table_files.write_table(_in_round(root, index, "clusters.parquet"), pa.Table.from_pylist(assigned, CLUSTERS_SCHEMA))
    _finish(root, index, "select", {"seconds": 0.5})


def _score_row(video_id: str, middle: np.ndarray, generator: np.random.Generator) -> dict:
    return {
        "video_id": video_id,
        "video_score": float(generator.uniform(0.3, 1.8)),
        "frames": [8, 2],
        "frame_scores": [1.4, 1.2],
        "frame_penalties": [0.0, 0.25],
        "latent": (middle + generator.normal(0, 1, LATENT)).tolist(),
        "profile": [1.0] * FRAMES,
        "empty_frames": 0,
        "error": None,
    }


def _selection_rows(scores: Sequence[dict], cluster_of: dict[str, int]) -> list[dict]:
    rows: list[dict] = []
    for score in scores:
        for frame, uncertainty, penalty in zip(
            score["frames"], score["frame_scores"], score["frame_penalties"], strict=True
        ):
            rows.append(
                {
                    "video_id": score["video_id"],
                    "frame": frame,
                    "rank": len(rows),
                    "cluster": cluster_of[score["video_id"]],
                    "quota": 2,
                    "uncertainty": uncertainty,
                    "proximity_penalty": penalty,
                    "video_score": score["video_score"],
                }
            )
    return rows


def _write_video(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(FRAMES):
            picture = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
            picture[12:36, 4 + 2 * index : 20 + 2 * index] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _in_round(root: Path, index: int, name: str) -> str:
    return storage.join(str(root), "rounds", f"{index:03d}", name)


def _finish(root: Path, index: int, stage: str, summary: dict) -> None:
    storage.write_json(_in_round(root, index, f"{stage}.done.json"), summary)
