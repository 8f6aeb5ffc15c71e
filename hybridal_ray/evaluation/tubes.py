"""Linking the boxes of a video's frames into tubes, on-line and greedily."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hybridal_ray.evaluation.boxes import Floats, Indices, iou_matrix, overlap_of_boxes


@dataclass(frozen=True)
class FrameDetections:
    """What was found on one frame.

    Attributes:
        boxes: (n, 4), x1, y1, x2, y2.
        objectness: (n,), in [0, 1].
        class_probabilities: (n, C), rows sum to 1.
    """

    boxes: Floats
    objectness: Floats
    class_probabilities: Floats


@dataclass(frozen=True)
class Tube:
    """One actor over consecutive frames.

    Attributes:
        frames: (m,), consecutive frame indices.
        boxes: (m, 4); on frames without a detection, interpolated linearly between the neighbours.
        objectness: (m,); interpolated likewise.
        class_probabilities: (C,), mean over the boxes detected.
    """

    frames: Indices
    boxes: Floats
    objectness: Floats
    class_probabilities: Floats


@dataclass
class _OpenTube:
    """A tube that may still grow; one entry a detected box."""

    frames: list[int] = field(default_factory=list)
    boxes: list[Floats] = field(default_factory=list)
    objectness: list[float] = field(default_factory=list)
    class_probabilities: list[Floats] = field(default_factory=list)

    def add(self, frame: int, detections: FrameDetections, index: int) -> None:
        self.frames.append(frame)
        self.boxes.append(detections.boxes[index])
        self.objectness.append(float(detections.objectness[index]))
        self.class_probabilities.append(detections.class_probabilities[index])

    def close(self) -> Tube:
        """Fills the gaps."""
        frames = np.arange(self.frames[0], self.frames[-1] + 1)
        boxes = np.array(self.boxes)
        filled = [np.interp(frames, self.frames, boxes[:, corner]) for corner in range(4)]
        return Tube(
            frames=frames,
            boxes=np.stack(filled, axis=1),
            objectness=np.interp(frames, self.frames, self.objectness),
            class_probabilities=np.mean(self.class_probabilities, axis=0),
        )


def link_tubes(frames: Sequence[FrameDetections], *, link_iou: float, max_gap: int, min_tube_frames: int) -> list[Tube]:
    """Links per-frame boxes into tubes whatever their class, looking at no later frame.

    On each frame the pairs of an open tube and a box that overlap enough are taken greedily by the sum of
    their IoU and the box's objectness (the linking energy of Gkioxari and Malik, "Finding Action Tubes", CVPR
    2015, with equal weights); a tube takes one box and a box joins one tube. Boxes left over begin tubes.

    Args:
        frames: The detections of every frame of the video, in order; the position is the frame index.
        link_iou: Least IoU of a box with the last box of the tube it joins.
        max_gap: Frames in a row that a tube may miss before it ends; they are filled by interpolation.
        min_tube_frames: Tubes of fewer frames, filled ones included, are dropped. A video shorter than
            that keeps the tubes that span it.

    Returns:
        Tubes by first frame, then by the order of the boxes on it. Ties go to the older tube and to the
        earlier box, so that the result is a function of the detections alone.
    """
    tubes: list[_OpenTube] = []
    alive: list[_OpenTube] = []  # those of them that may still grow: once ended, a tube never does again
    for frame, detections in enumerate(frames):
        alive = [tube for tube in alive if frame - tube.frames[-1] <= max_gap + 1]
        joined = _greedy_pairs(alive, detections, link_iou)
        for index in range(len(detections.boxes)):
            tube = joined.get(index)
            if tube is None:
                tube = _OpenTube()
                tubes.append(tube)
                alive.append(tube)
            tube.add(frame, detections, index)
    shortest = min(min_tube_frames, len(frames))
    return [tube.close() for tube in tubes if tube.frames[-1] - tube.frames[0] + 1 >= shortest]


def _greedy_pairs(alive: Sequence[_OpenTube], detections: FrameDetections, link_iou: float) -> dict[int, _OpenTube]:
    """Which of the open tubes each box joins, by box index; boxes that join none are absent."""
    if not alive or not len(detections.boxes):
        return {}
    overlaps = iou_matrix(np.array([tube.boxes[-1] for tube in alive]), detections.boxes)
    tube_indices, box_indices = np.nonzero(overlaps >= link_iou)
    energies = overlaps[tube_indices, box_indices] + detections.objectness[box_indices]
    joined: dict[int, _OpenTube] = {}
    taken: set[int] = set()
    for pair in np.argsort(-energies, kind="stable"):
        tube_index, box_index = int(tube_indices[pair]), int(box_indices[pair])
        if tube_index not in taken and box_index not in joined:
            taken.add(tube_index)
            joined[box_index] = alive[tube_index]
    return joined


def tube_overlap(first_frames: Indices, first_boxes: Floats, second_frames: Indices, second_boxes: Floats) -> float:
    """Tube IoU: temporal IoU times the mean spatial IoU over the frames in common.

    The temporal IoU is the number of frames in common over the number of frames in either, without +1.

    Args:
        first_frames: (m,), distinct frame indices, ascending.
        first_boxes: (m, 4).
        second_frames: (k,), distinct frame indices, ascending.
        second_boxes: (k, 4).

    Returns:
        In [0, 1]; 0 when no frame is in common.
    """
    common, in_first, in_second = np.intersect1d(first_frames, second_frames, assume_unique=True, return_indices=True)
    if not len(common):
        return 0.0
    temporal = len(common) / (len(first_frames) + len(second_frames) - len(common))
    return float(temporal * overlap_of_boxes(first_boxes[in_first], second_boxes[in_second]).mean())
