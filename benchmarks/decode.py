"""What reading frames costs, against a plain PyAV loop over the same files in the same run.

``python benchmarks/decode.py --out OUT [--data FOLDER] [--minutes 10] [--size 224] [--repeats 3]``

Two sorts of files: the clips of J-HMDB-21 (``FOLDER/jhmdb21/videos``, left out where there is none), and an H.264 video
of 1280×720 pixels that is made here. Linear: every frame, converted to RGB at the detector's size. Random: clips of 8
frames from anywhere; the plain loop is then told the nearest key frame, seeks to it and decodes as far as the clip.
Every measurement is a process of its own on one thread, alone and two at a time; the ways take turns.
Leaves ``decode.json`` and ``decode.md`` in OUT.
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from hybridal_ray.pool.decoding import FrameIndex, iter_frames, read_frames
from hybridal_ray.pool.frame_index import IndexStore

CLIP = 8
CLIPS_OF_LONG = 40
SHORT_FILES = 60
MIB = 1 << 20
Measure = Callable[[Sequence[str], int, str], int]


def main() -> None:
    """Measures each way in turn, then writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", type=Path, help="holds jhmdb21/videos")
    parser.add_argument("--minutes", type=float, default=10, help="of the video that is made")
    parser.add_argument("--size", type=int, default=224, help="pixels, height and width")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)  # in the child: way, sort, folder of indices
    arguments = parser.parse_args()
    if arguments.measure:
        _measure(arguments.measure, arguments.size)
        return
    if arguments.out is None:
        parser.error("--out is needed")
    arguments.out.mkdir(parents=True, exist_ok=True)
    long_video = make_video(arguments.out / "long.mp4", arguments.minutes)
    started = time.perf_counter()
    index = IndexStore(str(arguments.out)).of(str(long_video))
    made_in = time.perf_counter() - started
    sorts: dict[str, list[str]] = {}
    if arguments.data is not None:
        clips = [str(file) for file in sorted((arguments.data / "jhmdb21/videos").glob("*/*.avi"))]
        sorts["J-HMDB"] = clips[:: max(1, len(clips) // SHORT_FILES)]
    sorts["long"] = [str(long_video)]
    facts = {"frames": index.facts.num_frames, "seek_points": len(index.points), "index_seconds": made_in}
    rows: list[dict[str, Any]] = []
    for sort, way, processes in itertools.product(sorts, ("linear", "random"), (1, 2)):
        rows += compare(way, sort, sorts[sort], processes, arguments)
        (arguments.out / "decode.json").write_text(json.dumps({"long": facts, "rows": rows}, indent=1) + "\n")
        (arguments.out / "decode.md").write_text(table(rows, facts))  # what there is, should it be cut off
    print(table(rows, facts))


def compare(way: str, sort: str, files: list[str], processes: int, arguments: Any) -> list[dict[str, Any]]:
    """Both readers in turn, several times over: the median of each, and the median of the ratios."""
    found: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
    for _ in range(arguments.repeats):
        for reader, results in found.items():
            results.append(_run(f"{way}-{reader}", files, processes, arguments))
    ratios = [
        ours["frames_per_second"] / plain["frames_per_second"]
        for plain, ours in zip(found["plain"], found["ours"], strict=True)
    ]
    return [
        {
            "files": sort,
            "way": way,
            "processes": processes,
            "reader": reader,
            "frames_per_second": statistics.median(one["frames_per_second"] for one in results),
            "peak_mib": max(one["peak_mib"] for one in results),
            "ratio": statistics.median(ratios) if reader == "ours" else 1.0,
        }
        for reader, results in found.items()
    ]


def _run(measure: str, files: list[str], processes: int, arguments: Any) -> dict[str, float]:
    command = [
        sys.executable,
        __file__,
        "--size",
        str(arguments.size),
        "--measure",
        measure,
        str(arguments.out),
        *files,
    ]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    found = [json.loads(child.communicate()[0]) for child in children]
    return {
        "frames_per_second": sum(one["frames"] / one["seconds"] for one in found),
        "peak_mib": max(one["peak_mib"] for one in found),
    }


def _measure(arguments: list[str], size: int) -> None:
    """In the child: one way over all files."""
    way, out, *files = arguments
    ways: dict[str, Measure] = {
        "linear-plain": linear_plain,
        "linear-ours": linear_ours,
        "random-plain": random_plain,
        "random-ours": random_ours,
    }
    indices = IndexStore(out)
    for file in files:
        indices.of(file)  # made before the clock runs, as it is once in the life of a pool
    read = ways[way]
    read(files[:1] if len(files) > 1 else [], size, out)
    started = time.perf_counter()
    frames = read(files, size, out)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB
    print(json.dumps({"frames": frames, "seconds": seconds, "peak_mib": peak}))


def linear_plain(files: Sequence[str], size: int, _: str) -> int:
    """The loop that one writes with PyAV."""
    frames = 0
    for file in files:
        with av.open(file) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            swscale = VideoReformatter()
            for frame in container.decode(stream):
                _convert(swscale, frame, size)
                frames += 1
    return frames


def linear_ours(files: Sequence[str], size: int, _: str) -> int:
    """The package's own."""
    return sum(1 for file in files for _ in iter_frames(file, size))


def random_plain(files: Sequence[str], size: int, out: str) -> int:
    """Seeks to the key frame before each clip, which it is told, and decodes as far as the clip's end."""
    clips = 0
    indices = IndexStore(out)
    for file in files:
        index = indices.of(file)
        for first in clip_starts(index, len(files)):
            point = index.point_before(first)
            with av.open(file) as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1
                if point is not None:
                    container.seek(point.seek_to, stream=stream)
                number, swscale, kept = 0 if point is None else point.frame, VideoReformatter(), []
                for frame in container.decode(stream):
                    if number >= first:
                        kept.append(_convert(swscale, frame, size))
                    number += 1
                    if number == first + CLIP:
                        break
                np.stack(kept)
            clips += 1
    return clips * CLIP


def random_ours(files: Sequence[str], size: int, out: str) -> int:
    """The package's own, with the index that it keeps beside the pool."""
    clips = 0
    indices = IndexStore(out)
    for file in files:
        index = indices.of(file)
        for first in clip_starts(index, len(files)):
            read_frames(file, range(first, first + CLIP), size, index)
            clips += 1
    return clips * CLIP


def clip_starts(index: FrameIndex, files: int) -> list[int]:
    """Where the clips of a file begin: the same for both readers."""
    count = CLIPS_OF_LONG if files == 1 else 4
    last = index.facts.num_frames - CLIP
    return np.random.default_rng(0).integers(0, max(1, last + 1), size=count).tolist()


def make_video(file: Path, minutes: float) -> Path:
    """H.264 at 25 frames a second, a key frame every 10 s: noise that drifts, so that no frame is like another."""
    if file.exists():
        return file
    coarse = np.random.default_rng(0).integers(0, 256, (45, 80, 3), dtype=np.uint8)
    partial = file.with_suffix(".partial.mp4")
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "28", "g": "250", "threads": "2"}
        swscale = VideoReformatter()
        for number in range(round(minutes * 60 * 25)):
            drifted = np.roll(coarse, (number // 7, number // 3), axis=(0, 1))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(drifted), "rgb24")
            container.mux(stream.encode(swscale.reformat(frame, width=1280, height=720, format="yuv420p")))
        container.mux(stream.encode(None))
    return partial.rename(file)


def table(rows: Sequence[dict[str, Any]], facts: dict[str, float]) -> str:
    """The results as Markdown."""
    lines = [
        f"The long video: {facts['frames']} frames, {facts['seek_points']} seek points, "
        f"index made once in {facts['index_seconds']:.1f} s.",
        "",
        "| files | way | processes | plain PyAV, frames/s | ours, frames/s | ours ÷ plain | peak MiB, plain / ours |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for plain, ours in zip(rows[::2], rows[1::2], strict=True):
        lines.append(
            f"| {ours['files']} | {ours['way']} | {ours['processes']} | {plain['frames_per_second']:.0f} "
            f"| {ours['frames_per_second']:.0f} | {ours['ratio']:.2f} "
            f"| {plain['peak_mib']:.0f} / {ours['peak_mib']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def _convert(swscale: VideoReformatter, frame: av.VideoFrame, size: int) -> np.ndarray:
    scaled = swscale.reformat(frame, width=size, height=size, format="rgb24", interpolation=Interpolation.BILINEAR)
    return scaled.to_ndarray()


if __name__ == "__main__":
    main()
