"""A copy of a pool with its videos re-encoded at a detector's size, to carry to a machine with little room.

``python benchmarks/smaller_pool.py POOL OUT --size 224``

Frames stay in number and order; boxes and masks are scaled with them.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa

from hybridal_ray.pool.decoding import iter_frames
from hybridal_ray.pool.masks import decode_mask, encode_mask
from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool, Video, load_pool, save_pool

# Reproducible, and light enough to send: two clips of J-HMDB in a hundred kilobytes.
ENCODING = {"crf": "24", "preset": "medium", "x264-params": "mbtree=0"}


def main() -> None:
    """Writes the copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    pool = load_pool(arguments.pool)
    videos = [video for split in ("train", "val", "test") for video in pool.usable_videos(split)]
    (arguments.out / "videos").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(arguments.jobs) as threads:
        places = list(threads.map(lambda video: _encode(video, arguments.out, arguments.size), videos))
    smaller = {video.video_id: place for video, place in zip(videos, places, strict=True)}
    rows = [
        row | {"uri": smaller[row["video_id"]], "width": arguments.size, "height": arguments.size}
        for row in pool.videos.to_pylist()
        if row["video_id"] in smaller
    ]
    sizes = {video.video_id: (video.width, video.height) for video in videos}
    tubes = pool.tubes_of(sorted(sizes)).to_pylist()
    scaled = [_scaled(row, *sizes[row["video_id"]], arguments.size) for row in tubes]
    save_pool(
        Pool(
            root=str(arguments.out),
            name=pool.name,
            classes=pool.classes,
            videos=pa.Table.from_pylist(rows, schema=VIDEOS_SCHEMA),
            tubes=pa.Table.from_pylist(scaled, schema=TUBES_SCHEMA),
        )
    )
    print(f"{len(smaller)} videos in {arguments.out}")


def _encode(video: Video, out: Path, size: int) -> str:
    place = f"videos/{video.video_id.replace('/', '-')}.mp4"
    with av.open(str(out / place), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=ENCODING)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for pixels in iter_frames(video.uri, size):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return place


def _scaled(row: dict[str, Any], width: int, height: int, size: int) -> dict[str, Any]:
    across, down = size / width, size / height
    mask = row["mask"]
    if mask is not None:
        rows = ((np.arange(size) + 0.5) / down).astype(int)
        columns = ((np.arange(size) + 0.5) / across).astype(int)
        mask = encode_mask(decode_mask(mask, height, width)[np.ix_(rows, columns)])
    corners = {"x1": row["x1"] * across, "x2": row["x2"] * across, "y1": row["y1"] * down, "y2": row["y2"] * down}
    return {**row, **corners, "mask": mask}


if __name__ == "__main__":
    main()
