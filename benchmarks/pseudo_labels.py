"""How well interpolated labels agree with the truth, by the gap between labels and by the distance to the nearest.

``python benchmarks/pseudo_labels.py --pool POOL [POOL …] --out OUT``

Every G-th frame of each tube counts as labelled; the frames between are interpolated as in training, and compared
with the tube's own boxes, and masks where the pool has them. Leaves ``pseudo_labels.md`` in OUT.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hybridal_ray.pool.ledger import labels_by_video, labels_of_tubes
from hybridal_ray.pool.tables import load_pool
from hybridal_ray.training.rendering import TrackRenderer
from hybridal_ray.training.tracks import Track, interpolate_boxes, tracks_of

GAPS = (5, 10, 20, 40)
DISTANCES = (1, 2, 3, 5, 8, 10, 15, 20)  # frames
MAP_SIZE = 96  # pixels of the maps that masks are compared in


@dataclass
class Agreement:
    """IoUs of all frames between labels, with the distance of each to the nearest label."""

    ious: list[float] = field(default_factory=list)
    distances: list[int] = field(default_factory=list)

    def mean(self) -> float:
        """Over all frames."""
        return float(np.mean(self.ious)) if self.ious else float("nan")

    def at(self, distance: int) -> float:
        """Mean over the frames at one distance."""
        chosen = np.array(self.ious)[np.array(self.distances) == distance]
        return float(chosen.mean()) if len(chosen) else float("nan")


def main() -> None:
    """Measures every pool, then writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", nargs="+", required=True)
    parser.add_argument("--out", required=True, type=Path)
    arguments = parser.parse_args()
    lines = []
    for location in arguments.pool:
        pool = load_pool(location)
        pictures = {row["video_id"]: (row["height"], row["width"]) for row in pool.videos.to_pylist()}
        labels = labels_by_video(labels_of_tubes(pool.tubes))  # of videos that are not there too
        boxes = {gap: Agreement() for gap in GAPS}
        masks = {gap: Agreement() for gap in GAPS}
        for video_id, of_video in labels.items():
            for track in tracks_of(of_video, max(of_video) + 1):
                for gap in GAPS:
                    _measure(track, gap, pictures[video_id], boxes[gap], masks[gap])
        lines += _tables(pool.name, {"boxes": boxes, "masks": masks})
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "pseudo_labels.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _measure(track: Track, gap: int, picture: tuple[int, int], boxes: Agreement, masks: Agreement) -> None:
    kept = np.arange(0, len(track.frames), gap)
    sparse = Track(
        track.class_id,
        track.frames[kept],
        track.boxes[kept],
        tuple(track.masks[i] for i in kept),
        track.first,
        track.last,
    )
    between = [i for i in range(kept[-1]) if i % gap]
    if not between:
        return
    frames = track.frames[between]
    distances = [int(np.abs(sparse.frames - frame).min()) for frame in frames]
    found, _ = interpolate_boxes(sparse, frames)
    boxes.ious += _box_ious(found, track.boxes[between]).tolist()
    boxes.distances += distances
    if track.masks[0] is not None:
        drawn, true = (TrackRenderer([t], picture, MAP_SIZE).render(frames) > 0 for t in (sparse, track))
        masks.ious += list(_mask_ious(drawn, true))
        masks.distances += distances


def _box_ious(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """IoU of the boxes of each row, (F, 4) twice."""
    corner, opposite = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    shared = np.clip(opposite - corner, 0, None).prod(axis=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    return shared / (areas[0] + areas[1] - shared)


def _mask_ious(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> Iterator[float]:
    """IoU of the maps of each frame, (F, S, S) twice."""
    for a, b in zip(one, other, strict=True):
        either = (a | b).sum()
        yield float((a & b).sum() / either) if either else 1.0


def _tables(name: str, kinds: dict[str, dict[int, Agreement]]) -> list[str]:
    lines = [f"**{name}**", "", "| labels every | " + " | ".join(f"{gap} frames" for gap in GAPS) + " |"]
    lines.append("| --- |" + " --- |" * len(GAPS))
    shown = {kind: by_gap for kind, by_gap in kinds.items() if any(by_gap[gap].ious for gap in GAPS)}
    lines += [
        f"| {kind}, mean IoU | " + " | ".join(f"{by_gap[gap].mean():.3f}" for gap in GAPS) + " |"
        for kind, by_gap in shown.items()
    ]
    lines += ["", "| frames to the nearest label | " + " | ".join(map(str, DISTANCES)) + " |"]
    lines.append("| --- |" + " --- |" * len(DISTANCES))
    for kind, by_gap in shown.items():
        for gap in GAPS[1:]:
            cells = [by_gap[gap].at(distance) for distance in DISTANCES]
            text = " | ".join("" if np.isnan(cell) else f"{cell:.3f}" for cell in cells)
            lines.append(f"| {kind}, every {gap} | {text} |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
