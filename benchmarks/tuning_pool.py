"""A pool to tune on: the training split of another one, some of whose sources become its test split.

``python benchmarks/tuning_pool.py POOL OUT --share 0.34 --seed 0``

What is chosen on it never saw the test split. Of each class about `share` of the videos are for testing, a source never
on both sides. The videos are left where they are.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import VIDEOS_SCHEMA, load_pool, save_pool


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
    rows = [
        row
        | {
            "uri": storage.resolve_uri(row["uri"], str(Path(arguments.pool).resolve())),
            "split": "test" if source_of[row["video_id"]] in testing else "train",
        }
        for row in pool.videos.to_pylist()
        if row["video_id"] in source_of
    ]
    arguments.out.mkdir(parents=True, exist_ok=True)
    looked_at = pool.looked_at
    if looked_at is not None:
        looked_at = looked_at.filter(pc.is_in(looked_at["video_id"], pa.array(list(source_of), pa.string())))
    save_pool(
        replace(
            pool,
            root=str(arguments.out),
            name=f"{pool.name}, tuning",
            videos=pa.Table.from_pylist(rows, schema=VIDEOS_SCHEMA),
            tubes=pool.tubes_of(list(source_of)),
            looked_at=looked_at,
        )
    )
    print(f"{arguments.out}: {dict(Counter(row['split'] for row in rows))}")


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
