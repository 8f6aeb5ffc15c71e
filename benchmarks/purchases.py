"""What the arms of a comparison bought: how many empty frames, how many videos of the rarest class.

``python benchmarks/purchases.py COMPARISON POOL [--frames 4]``

COMPARISON is the directory of ``hybridal compare``, POOL the pool of its runs, whose labels no strategy saw. The first
table is of the purchases themselves, means over seeds. The second takes the scores that the scored arms had after their
first round and asks which frames would have been bought under other ways of spreading them over a video: how many are
empty, and how uncertain they are, as a share of the most uncertain frame of the video.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from hybridal_ray.pool.tables import Pool, load_pool
from hybridal_ray.scoring.frame_choice import Floats, choose_frames
from hybridal_ray.scoring.pool_scorer import read_scores

SPACINGS = {
    "window of 4 frames (the paper)": partial(choose_frames, sigma=8 / 3, window=4, spacing="window"),
    "window of 24 frames": partial(choose_frames, sigma=8.0, window=24, spacing="window"),
    "parts": partial(choose_frames, sigma=8 / 3, window=4, spacing="parts"),
}
Labels = Mapping[str, set[int]]


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", type=Path)
    parser.add_argument("pool")
    parser.add_argument("--frames", type=int, default=4, help="bought of a video, in the second table")
    arguments = parser.parse_args()
    pool = load_pool(arguments.pool)
    acted = _frames_with_an_actor(pool)
    rarest, holders = _rarest_class(pool)
    print(f"| arm | purchase | seeds | empty frames | videos with {rarest} | videos | frames |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (arm, number), bought in sorted(_purchases(arguments.comparison).items()):
        empty = [np.mean([frame not in acted[video] for video, frame in picks]) for picks in bought]
        videos = [{video for video, _ in picks} for picks in bought]
        held = [len(those & holders) / len(those) for those in videos]
        print(
            f"| {arm} | {number} | {len(bought)} | {np.mean(empty):.1%} | {np.mean(held):.1%} "
            f"| {np.mean([len(those) for those in videos]):.0f} | {np.mean([len(picks) for picks in bought]):.0f} |"
        )
    print("\n| frames | empty, all videos | empty, most uncertain fifth | uncertainty there, of the video's largest |")
    print("| --- | ---: | ---: | ---: |")
    scored = [_profiles(location) for location in _first_scores(arguments.comparison)]
    for name in (*SPACINGS, "equidistant"):
        found = np.mean([_spread(name, profiles, acted, arguments.frames) for profiles in scored], axis=0)
        print(f"| {name} | {found[0]:.1%} | {found[1]:.1%} | {found[2]:.2f} |")


def _frames_with_an_actor(pool: Pool) -> dict[str, set[int]]:
    acted: dict[str, set[int]] = defaultdict(set)
    for video, frame in zip(pool.tubes["video_id"].to_pylist(), pool.tubes["frame"].to_pylist(), strict=True):
        acted[video].add(frame)
    return acted


def _rarest_class(pool: Pool) -> tuple[str, set[str]]:
    """Name of the class that the fewest training videos hold, and those videos."""
    training = {video.video_id for video in pool.usable_videos("train")}
    classes = zip(pool.tubes["video_id"].to_pylist(), pool.tubes["class_id"].to_pylist(), strict=True)
    pairs = {(video, class_id) for video, class_id in classes if video in training}
    rarest, _ = min(Counter(class_id for _, class_id in pairs).items(), key=lambda item: (item[1], item[0]))
    return pool.classes[rarest], {video for video, class_id in pairs if class_id == rarest}


def _purchases(comparison: Path) -> dict[tuple[str, int], list[list[tuple[str, int]]]]:
    """By arm and number of the purchase, 1 the first that an arm chose itself: (video, frame) of each seed."""
    bought: dict[tuple[str, int], list[list[tuple[str, int]]]] = defaultdict(list)
    for location in sorted(comparison.glob("runs/*/rounds/*/selection.parquet")):
        picks = pq.read_table(location, columns=["video_id", "frame"])
        if len(picks):
            arm = location.parents[2].name.rsplit("-", 1)[0]
            pairs = zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True)
            bought[arm, int(location.parent.name) + 1].append(list(pairs))
    return bought


def _first_scores(comparison: Path) -> Iterator[str]:
    """One directory of scores a seed; whichever arm is asked, the detector of the first round is the same."""
    seeds = set()
    for location in sorted(comparison.glob("runs/*/rounds/000/scores")):
        seed = location.parents[2].name.rsplit("-", 1)[1]
        if seed not in seeds:
            seeds.add(seed)
            yield str(location)


def _profiles(location: str) -> dict[str, Floats]:
    rows = read_scores(location).select(["video_id", "profile"]).to_pylist()
    return {row["video_id"]: np.asarray(row["profile"], np.float64) for row in rows if row["profile"]}


def _spread(name: str, profiles: Mapping[str, Floats], acted: Labels, count: int) -> tuple[float, float, float]:
    """Shares of empty frames in all videos and in the most uncertain fifth, and how uncertain those there are."""
    chosen = {video: _choose(name, profile, count) for video, profile in profiles.items()}
    ranked = sorted(chosen, key=lambda video: (-float(profiles[video][chosen[video]].mean()), video))
    top = ranked[: max(len(ranked) // 5, 1)]
    empty = [np.mean([f not in acted.get(v, ()) for v in videos for f in chosen[v]]) for videos in (ranked, top)]
    share = np.mean([profiles[v][chosen[v]].mean() / max(profiles[v].max(), 1e-9) for v in top])
    return float(empty[0]), float(empty[1]), float(share)


def _choose(name: str, profile: Floats, count: int) -> list[int]:
    if name == "equidistant":
        count = min(count, len(profile))
        return [(2 * index + 1) * len(profile) // (2 * count) for index in range(count)]
    return [choice.frame for choice in SPACINGS[name](profile, [], count)]


if __name__ == "__main__":
    main()
