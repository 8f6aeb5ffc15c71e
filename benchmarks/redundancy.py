"""How well latents tell which videos come from one source, and how many sources a batch of videos covers.

``python benchmarks/redundancy.py POOL [--first 54] [--then 54] [--seeds 5] [--run RUN …]``

POOL tells the source of each training video (``group``); no strategy but ``sources`` is told it. Without RUN: what
videos look like, and first batches. With runs on that pool whose first round was scored (one a seed): the detector's
latents, and second batches on top of what each run had labelled.
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridal_ray.detectors.checkpoint import load_detector
from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.pool import ledger
from hybridal_ray.pool.tables import Video, load_pool
from hybridal_ray.scoring.appearance import describe_pool
from hybridal_ray.selection.latents import latents_of
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.score_batches import ScoreBatches, ScoreParts
from hybridal_ray.selection.strategies import run_strategy

FIRST: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "random": ("random", {}),
    "typiclust by appearance": ("typiclust", {}),
    "sources, told": ("sources", {"inside": "random", "frames": "random"}),
}
THEN: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "random": ("random", {}),
    "uncertainty": ("uncertainty", {}),
    "clusters": ("clusters", {}),
    "claus": ("claus", {}),
    "sources, told": ("sources", {}),
}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool")
    parser.add_argument("--first", type=int, default=54, help="videos of the first batch")
    parser.add_argument("--then", type=int, default=54, help="videos of the second batch")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--run", nargs="*", default=[], help="runs whose first round was scored")
    arguments = parser.parse_args()
    videos = load_pool(arguments.pool).usable_videos("train")
    source_of = {video.video_id: video.group for video in videos}
    print(f"{len(videos)} videos to train on, {len(set(source_of.values()))} sources\n")
    with tempfile.TemporaryDirectory() as folder:
        describe_pool(videos, folder, plan=ActorPlan(actors=0))
        looks = ScoreParts(folder)
        print("| latent | nearest neighbour of the same source |\n| --- | ---: |")
        print(f"| appearance | {same_source(looks, source_of):.1%} |")
        scored = [ScoreParts(f"{run}/rounds/000/scores") for run in arguments.run]
        if scored:
            shares = [same_source(scores, source_of) for scores in scored]
            print(f"| the detector's after the first round | {np.mean(shares):.1%} |")
        request = request_of(videos, looks, arguments.first)
        print(f"\n| first batch, {arguments.first} videos | sources covered |\n| --- | ---: |")
        for name, (strategy, options) in FIRST.items():
            asked = [dataclasses.replace(request, seed=seed) for seed in range(arguments.seeds)]
            print_row(name, [covered(strategy, options, one, source_of) for one in asked])
        if scored:
            print(f"\n| second batch, {arguments.then} videos | sources covered |\n| --- | ---: |")
            asked = [
                second_request(run, request, scores, arguments.then)
                for run, scores in zip(arguments.run, scored, strict=True)
            ]
            for name, (strategy, options) in THEN.items():
                print_row(name, [covered(strategy, options, one, source_of) for one in asked])


def request_of(videos: Sequence[Video], looks: ScoreBatches, count: int) -> SelectionRequest:
    """Of a frame each of `count` videos."""
    return SelectionRequest(
        videos=videos, labelled={}, scores=looks, centres=None, num_videos=count, frames_per_video=1, max_frames=None,
        revisit_fraction=0.0, seed=0, memory_mib=1024, clusters_to=None,
    )  # fmt: skip


def second_request(run: str, first: SelectionRequest, scores: ScoreBatches, count: int) -> SelectionRequest:
    """On top of what a run was first trained on, by the scores of its first round."""
    bought = ledger.read(run)
    return dataclasses.replace(
        first,
        labelled=ledger.answered_frames(bought.filter(bought["round"].to_numpy() == 0)),
        scores=scores,
        centres=load_detector(str(Path(run) / "rounds/000/train/checkpoint")).centres,
        num_videos=count,
    )


def covered(
    strategy: str, options: Mapping[str, Any], request: SelectionRequest, source_of: Mapping[str, str]
) -> float:
    """Share of the sources of which a video has a label once the batch is bought."""
    bought = run_strategy(strategy, options, request).picks["video_id"].to_pylist()
    return len({source_of[video] for video in {*bought, *request.labelled}}) / len(set(source_of.values()))


def same_source(scores: ScoreBatches, source_of: Mapping[str, str]) -> float:
    """Share of the videos, of those whose source has another, whose nearest neighbour is of their source."""
    found = [(ids.to_pylist(), latents) for ids, latents in latents_of(scores)]
    sources = np.array([source_of[video] for ids, _ in found for video in ids])
    latents = np.concatenate([of_batch for _, of_batch in found]).astype(np.float64)
    return float(np.mean(list(_neighbours_alike(latents, sources))))


def _neighbours_alike(latents: npt.NDArray[np.float64], sources: npt.NDArray[np.str_]) -> Iterable[bool]:
    for index, (latent, source) in enumerate(zip(latents, sources, strict=True)):
        if (sources == source).sum() > 1:
            distances = ((latents - latent) ** 2).sum(axis=1)
            distances[index] = np.inf
            yield bool(sources[distances.argmin()] == source)


def print_row(name: str, shares: Sequence[float]) -> None:
    """A line of a table: mean and standard deviation."""
    spread = f" ± {np.std(shares, ddof=1):.1%}" if len(shares) > 1 else ""
    print(f"| {name} | {np.mean(shares):.1%}{spread} |")


if __name__ == "__main__":
    main()
