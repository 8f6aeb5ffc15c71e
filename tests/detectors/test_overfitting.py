"""Oracle: four real clips of J-HMDB and their masks, which every detector must be able to learn by heart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from overfitting import overfit
from scipy.io import loadmat
from torch import Tensor

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.interface import DetectorSpec, normalise
from hybridal_ray.pool.decoding import read_frames

ACTIONS = ("brush_hair", "clap", "shoot_bow", "throw")  # actors large enough to be drawn at 80 pixels
FRAMES = 8
SMALL_VIDEOMAE = {
    "model_type": "videomae", "image_size": 80, "hidden_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4,
    "intermediate_size": 192, "num_frames": FRAMES,
}  # fmt: skip


def real_clips(folder: Path, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Frames 0, 2, … 14 of the first clip of four classes: clips (N, 3, 8, S, S), masks (N, 8, S, S), classes (N,)."""
    clips, masks = [], []
    frames = 2 * np.arange(FRAMES)
    for action in ACTIONS:
        video = sorted((folder / "videos" / action).glob("*.avi"))[0]
        clips.append(normalise(torch.from_numpy(read_frames(str(video), frames, size))[None])[0])
        mask = loadmat(folder / "masks" / action / f"{video.stem}.mat")["part_mask"][..., frames]  # (H, W, T)
        scaled = F.interpolate(torch.from_numpy(mask).float().permute(2, 0, 1)[None], (size, size), mode="area")[0]
        masks.append(scaled > 0.5)
    return torch.stack(clips), torch.stack(masks), torch.arange(len(ACTIONS))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "options", "steps", "learning_rate"),
    [
        # Faster than 1e-3 and the capsules' activations run into saturation, where the spread loss has no gradient.
        ("capsules", {"width": 0.125, "capsule_types": 16, "dropout": 0.0}, 230, 1e-3),
        ("compact", {"dropout": 0.05}, 100, 3e-3),
        ("i3d_pyramid", {"width": 0.25, "pyramid_width": 32, "dropout": 0.05}, 90, 3e-3),
        ("transformer_pyramid", {"config": SMALL_VIDEOMAE, "pyramid_width": 32, "dropout": 0.05}, 120, 2e-3),
    ],
)
def test_four_real_clips_are_learnt_by_heart(
    hybridal_data: Path, name: str, options: dict[str, Any], steps: int, learning_rate: float
) -> None:
    size = 80
    clips, masks, classes = real_clips(hybridal_data / "jhmdb21", size)
    torch.manual_seed(0)
    detector = build_detector(DetectorSpec(name, len(ACTIONS), size, FRAMES, 2, options))
    ious, predicted = overfit(detector, clips, masks, classes, steps, learning_rate)
    assert predicted.tolist() == classes.tolist()
    assert ious.min() > 0.9
