"""A copy of a pool whose training classes are a long tail, with the videos left where they are.

``python benchmarks/long_tail.py POOL OUT --ratio 16 --seed 0``

Pools of surveillance or sports are seldom balanced, generated ones are. The k-th most frequent class keeps at most
``ratio ** (-k / (C - 1))`` times as many videos as the most frequent one has; a video of several classes has to fit
into all of them. Validation and test videos stay, so that a mean over the classes asks for the rare ones as well.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pool_part import save_part

from hybridal_ray.pool.tables import Pool, load_pool


def main() -> None:
    """Writes the copy and tells how many videos of each class it trains on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool")
    parser.add_argument("out", type=Path)
    parser.add_argument("--ratio", type=float, default=16.0, help="most frequent class over rarest one, in videos")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.ratio < 1:
        parser.error(f"--ratio: found {arguments.ratio}, expected at least 1")
    pool = load_pool(arguments.pool)
    classes_of = _classes_of(pool)
    training = [video.video_id for video in pool.usable_videos("train")]
    kept = set(long_tail({video: classes_of.get(video, set()) for video in training}, arguments.ratio, arguments.seed))
    splits = {
        row["video_id"]: row["split"]
        for row in pool.videos.select(["video_id", "split"]).to_pylist()
        if row["split"] != "train" or row["video_id"] in kept
    }
    save_part(pool, splits, arguments.out, f"{pool.name}, long tail")
    counts = Counter(class_id for video in kept for class_id in classes_of.get(video, ()))
    told = ", ".join(f"{name} {counts[class_id]}" for class_id, name in enumerate(pool.classes))
    print(f"{arguments.out}: {len(kept)} of {len(training)} training videos; videos by class: {told}")


def long_tail(classes_of: Mapping[str, set[int]], ratio: float, seed: int) -> list[str]:
    """The videos that stay, of those given with the classes in them.

    Args:
        classes_of: Classes of each video; none where nobody acts, and such videos stay.
        ratio: Videos of the most frequent class over those of the rarest, at least 1.
        seed: Of the order in which the videos are looked at.
    """
    found = Counter(class_id for classes in classes_of.values() for class_id in classes)
    if not found:
        return list(classes_of)
    steps = max(len(found) - 1, 1)
    most = found.most_common(1)[0][1]
    room = {class_id: round(most * ratio ** (-k / steps)) for k, (class_id, _) in enumerate(found.most_common())}
    videos = sorted(classes_of)
    kept = []
    for place in np.random.default_rng(seed).permutation(len(videos)):
        video = videos[place]
        if all(room[class_id] > 0 for class_id in classes_of[video]):
            kept.append(video)
            for class_id in classes_of[video]:
                room[class_id] -= 1
    return kept


def _classes_of(pool: Pool) -> Mapping[str, set[int]]:
    classes: dict[str, set[int]] = defaultdict(set)
    for video, class_id in zip(pool.tubes["video_id"].to_pylist(), pool.tubes["class_id"].to_pylist(), strict=True):
        classes[video].add(class_id)
    return classes


if __name__ == "__main__":
    main()
