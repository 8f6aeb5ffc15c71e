"""A detector without weights that sees bright pixels, in videos whose bright squares are known."""

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hybridal_ray.detectors.interface import DetectorOutput

CELL = 8
CLASSES = ("red", "green")


class BrightDetector(nn.Module):
    """Foreground where red or green is brighter than half; class logits are the mean colour of each cell."""

    def __init__(self, num_classes=2, whole_clip=False):
        super().__init__()
        self.num_classes = num_classes
        self.whole_clip = whole_clip

    def encode(self, clips):
        return clips

    def decode(self, clips):
        brightness = clips[:, :2].amax(dim=1)
        colours = F.avg_pool3d(5 * clips[:, : self.num_classes], (1, CELL, CELL))
        scores = colours.amax(dim=(2, 3, 4))
        return DetectorOutput(10 * brightness, scores, scores, None if self.whole_clip else colours)


class CountingDetector(nn.Module):
    """Foreground probability sigmoid(place in the clip) everywhere; one class; has no encode and decode."""

    def forward(self, clips):
        count, _, length, height, width = clips.shape
        places = torch.arange(length, dtype=torch.float32)[None, :, None, None].expand(count, -1, height, width)
        return DetectorOutput(places, torch.zeros(count, 1), torch.zeros(count, 1), places[:, None, :, :2, :2])


def moving_squares(num_frames, height=96, width=128):
    """A red square that moves right and a green one that stays, each on its own frames.

    Returns:
        (num_frames, H, W, 3) uint8, and rows of the truth.
    """
    frames = np.zeros((num_frames, height, width, 3), dtype=np.uint8)
    rows = []
    for frame in range(num_frames):
        squares = {0: (8 + 2 * frame, 16, 32 + 2 * frame, 48)}
        if frame >= num_frames // 2:
            squares[1] = (80, 60, 112, 90)
        for class_id, (x1, y1, x2, y2) in squares.items():
            frames[frame, y1:y2, x1:x2, class_id] = 255
            row = {"tube_id": CLASSES[class_id], "class_id": class_id, "frame": frame, "mask": None}
            rows.append(row | {"x1": x1, "y1": y1, "x2": x2, "y2": y2})
    return frames, rows


def write_video(path, frames):
    """Encodes losslessly, in full colour resolution."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25, options={"qp": "0"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
