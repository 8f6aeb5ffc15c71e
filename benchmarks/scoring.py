"""What exact Monte Carlo Dropout costs the straightforward way, and what it costs here.

``python benchmarks/scoring.py --pool POOL --out OUT [--videos 2] [--size 224] [--passes 10] [--actors 1 2]``
``python benchmarks/scoring.py --pool POOL --out OUT --checkpoint DIR --device cuda --gpus 1 --videos 40 --skip-plain``

Video by video, in turn: the straightforward way (all frames decoded into floats, the whole network R times a clip, one
clip and one pass at a time) and this package's, in this process on the same threads and with the same dropout masks.
Then, on all of the videos, each inexact way of scoring for less: its time, and how far it ranks the frames of a video
as the exact scores do. Last, where ``--actors`` names numbers of Ray actors, the whole scoring stage with each.
Weights are random, scaled so that foreground, background and doubt all occur, or out of ``--checkpoint``.
Leaves ``scoring.json`` and ``scoring.md`` in OUT.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from scoring_straightforward import compare, scorer_of
from torch import nn

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.checkpoint import load_detector, save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.pool.decoding import iter_frames
from hybridal_ray.pool.tables import Video, load_pool
from hybridal_ray.scoring.pool_scorer import score_pool
from hybridal_ray.scoring.shortcuts import Shortcuts, rank_correlation
from hybridal_ray.scoring.video_scoring import UncertaintySettings, VideoScorer, VideoUncertainty

INEXACT: dict[str, dict[str, Any]] = {
    "every second clip": {"shortcuts": Shortcuts(clip_step=2)},
    "every fourth clip": {"shortcuts": Shortcuts(clip_step=4)},
    "passes until the ranking is 0.9 reliable": {"shortcuts": Shortcuts(stable_ranking=0.9)},
    "passes until the ranking is 0.99 reliable": {"shortcuts": Shortcuts(stable_ranking=0.99)},
    "bfloat16": {"autocast": torch.bfloat16},
}
Row = dict[str, Any]


def main() -> None:
    """Runs all of it, then writes the tables."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    # Products rounded to TF32, as cuDNN does unless told otherwise, differ by more than either way of summing.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = arguments.tf32
    device = torch.device(arguments.device)
    pool = load_pool(arguments.pool)
    videos = sorted(pool.usable_videos(arguments.split), key=lambda video: (video.num_frames, video.video_id))
    videos = videos[arguments.first : arguments.first + arguments.videos]
    settings = UncertaintySettings(arguments.passes, "mean_of_log", "mean", 0.4, 0.0, 3, 8 / 3, 4, "window")
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = arguments.checkpoint or directory
        if arguments.checkpoint is None:
            _save_random_detector(directory, arguments, len(pool.classes))
        loaded = load_detector(checkpoint, device)
        _warm_up(loaded.detector, loaded.spec, settings, videos[0], device)
        exact = [] if arguments.skip_plain else [
            compare(loaded.detector, loaded.spec, settings, video, device) for video in videos
        ]  # fmt: skip
        inexact = [] if arguments.skip_inexact else _inexact(loaded.detector, loaded.spec, settings, videos, device)
        actors = [_with_actors(count, videos, checkpoint, settings, arguments) for count in arguments.actors]
    arguments.out.mkdir(parents=True, exist_ok=True)
    facts = {"settings": {name: str(value) for name, value in vars(arguments).items()}}
    (arguments.out / "scoring.json").write_text(
        json.dumps({**facts, "exact": exact, "inexact": inexact, "actors": actors}, indent=1)
    )
    tables = "\n".join(table for table in (_exact_table(exact), _inexact_table(inexact), _actor_table(actors)) if table)
    (arguments.out / "scoring.md").write_text(tables)
    print(tables)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--videos", type=int, default=2, help="Of the split, the shortest first.")
    parser.add_argument("--first", type=int, default=0, help="How many of the shortest to leave out.")
    parser.add_argument("--checkpoint", help="Of a trained detector; the next four are for a random one.")
    parser.add_argument("--detector", default="capsules")
    parser.add_argument(
        "--option", nargs="*", default=[], metavar="name=value", help="Options of the detector, in JSON."
    )
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPUs of each actor.")
    parser.add_argument("--tf32", action="store_true", help="Let a GPU round products to TF32.")
    parser.add_argument("--gpus", type=float, default=0, help="Of each actor.")
    parser.add_argument("--actors", type=int, nargs="*", default=[], help="Ray actors to compare; takes many videos.")
    parser.add_argument("--skip-plain", action="store_true", help="Leave the straightforward way out.")
    parser.add_argument("--skip-inexact", action="store_true", help="Leave the inexact ways out.")
    return parser.parse_args()


def _save_random_detector(directory: str, arguments: argparse.Namespace, num_classes: int) -> None:
    """Random weights under which a frame holds foreground, background and doubt, as it would under trained ones."""
    torch.manual_seed(arguments.seed)
    options = {name: json.loads(value) for name, value in (option.split("=", 1) for option in arguments.option)}
    spec = DetectorSpec(arguments.detector, num_classes, arguments.size, 8, 2, options)
    detector: Any = build_detector(spec).eval()
    head = detector.mask_head if hasattr(detector, "mask_head") else detector.head.mask_head
    with torch.inference_mode():
        logits = detector(torch.rand(1, 3, 8, arguments.size, arguments.size) * 2 - 1).mask_logits
        head.bias.copy_((head.bias - logits.mean()) / logits.std())
        head.weight.div_(logits.std())
    save_detector(directory, spec, detector.state_dict(), centres=None)


def _warm_up(
    detector: nn.Module, spec: DetectorSpec, settings: UncertaintySettings, video: Video, device: torch.device
) -> None:
    scorer_of(detector, spec, settings, device).score_video(video, ())


def _inexact(
    detector: nn.Module, spec: DetectorSpec, settings: UncertaintySettings, videos: Sequence[Video],
    device: torch.device,
) -> list[Row]:  # fmt: skip
    """What each way of scoring for less saves, and how it ranks frames and videos."""
    exact, exact_seconds = _profiles(scorer_of(detector, spec, settings, device), spec, videos)
    rows: list[Row] = [{"way": "exact", "seconds": exact_seconds, "frames_per_second": _rate(videos, exact_seconds)}]
    for way, arguments in INEXACT.items():
        found, seconds = _profiles(scorer_of(detector, spec, settings, device, **arguments), spec, videos)
        correlations = [rank_correlation(a.profile, b.profile) for a, b in zip(exact, found, strict=True)]
        rows.append(
            {
                "way": way,
                "seconds": seconds,
                "frames_per_second": _rate(videos, seconds),
                "rank_correlation": statistics.mean(correlations),
                "least_rank_correlation": min(correlations),
            }
        )
        print(json.dumps(rows[-1]))
    return rows


def _profiles(scorer: VideoScorer, spec: DetectorSpec, videos: Sequence[Video]) -> tuple[list[VideoUncertainty], float]:
    scorer.uncertainty(videos[0], iter_frames(videos[0].uri, spec.input_size))  # warms up
    started = time.perf_counter()
    found = [scorer.uncertainty(video, iter_frames(video.uri, spec.input_size)) for video in videos]
    return found, time.perf_counter() - started


def _rate(videos: Sequence[Video], seconds: float) -> float:
    return sum(video.num_frames for video in videos) / seconds


def _with_actors(
    count: int, videos: Sequence[Video], checkpoint: str, settings: UncertaintySettings, arguments: argparse.Namespace
) -> Row:
    """The scoring stage on that many Ray actors, in a cluster of its own; its start is not counted."""
    import ray

    ray.init(
        address="local", num_cpus=count * arguments.threads, include_dashboard=False, log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )  # fmt: skip
    plan = ActorPlan(count, arguments.threads, arguments.gpus, arguments.device, videos_per_chunk=1)
    finished: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        score_pool(
            videos, {}, checkpoint, directory, settings=settings, run_seed=0, round_index=0, plan=plan,
            progress=lambda done, _: finished.append(time.perf_counter()) if done else None,
        )  # fmt: skip
    ray.shutdown()
    # The actors start one after the other, and each prepares itself on its first video: the second half is the pace.
    half = len(finished) // 2
    row = {"actors": count, "videos_per_second": (len(finished) - half) / (finished[-1] - finished[half - 1])}
    print(json.dumps(row))
    return row


def _exact_table(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = [
        "| video | clips | straightforward, s | here, s | faster | in CPU time | decoding | model | neither "
        "| largest difference |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        decoding, model = row["decoding_share"], row["model_share"]
        lines.append(
            f"| {row['video']} | {row['clips']} | {row['plain_seconds']:.1f} | {row['seconds']:.2f} "
            f"| × {row['plain_seconds'] / row['seconds']:.1f} "
            f"| × {row['plain_cpu_seconds'] / row['cpu_seconds']:.1f} "
            f"| {decoding:.1%} | {model:.1%} | {1 - decoding - model:.1%} "
            f"| {max(row['largest_differences'].values()):.0e} |"
        )
    return "\n".join(lines) + "\n"


def _inexact_table(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = [
        "| way | frames/s | faster | rank correlation with the exact scores | least of a video |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        correlations = [
            "" if name not in row else f"{row[name]:.4f}" for name in ("rank_correlation", "least_rank_correlation")
        ]
        lines.append(
            f"| {row['way']} | {row['frames_per_second']:.2f} | × {rows[0]['seconds'] / row['seconds']:.2f} "
            f"| {' | '.join(correlations)} |"
        )
    return "\n".join(lines) + "\n"


def _actor_table(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = ["| actors | videos/s | against the first |", "| --- | --- | --- |"]
    for row in rows:
        ratio = row["videos_per_second"] / rows[0]["videos_per_second"]
        lines.append(f"| {row['actors']} | {row['videos_per_second']:.3f} | × {ratio:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
