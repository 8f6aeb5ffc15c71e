"""A pool to tune on: the training split of another one, some of whose sources become its test split.

``python benchmarks/tuning_pool.py POOL OUT --share 0.34 --seed 0``

What is chosen on it never saw the test split. Of each class about `share` of the videos are for testing, a source never
on both sides. The videos are left where they are.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pool_part import save_part

from hybridal_ray.pool.tables import load_pool


def main() -> None:
    """Writes the pool and tells how many videos each split has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool")
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.34, help="of the videos of each class, at most, for testing")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not 0 < arguments.share < 1:
        parser.error(f"--share: found {arguments.share}, expected between 0 and 1")
    pool = load_pool(arguments.pool)
    class_of = dict(zip(pool.tubes["video_id"].to_pylist(), pool.tubes["class_id"].to_pylist(), strict=True))
    source_of = {video.video_id: video.group or video.video_id for video in pool.usable_videos("train")}
    classed = {video: (str(class_of.get(video, "")), source) for video, source in source_of.items()}
    testing = sources_to_test(classed, arguments.share, arguments.seed)
    splits = {video: "test" if source in testing else "train" for video, source in source_of.items()}
    save_part(pool, splits, arguments.out, f"{pool.name}, tuning")
    print(f"{arguments.out}: {dict(Counter(splits.values()))}")


def sources_to_test(videos: Mapping[str, tuple[str, str]], share: float, seed: int) -> set[str]:
    """Sources whose videos are for testing: of every class one or more, unless each has more than half of its videos.

    Args:
        videos: Class and source of each video.
        share: Of the videos of a class, at most, unless the first source drawn has more, up to a half.
        seed: Of the order in which the sources of a class are drawn.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for class_id, source in videos.values():
        found[class_id][source] += 1
    generator = np.random.default_rng(seed)
    testing: set[str] = set()
    for _, sources in sorted(found.items()):
        taken, total = 0, sources.total()
        for source in generator.permutation(sorted(sources)):
            few_enough = taken + sources[source] <= share * total
            if few_enough or (taken == 0 and sources[source] <= total / 2):
                testing.add(str(source))
                taken += sources[source]
    return testing


if __name__ == "__main__":
    main()
