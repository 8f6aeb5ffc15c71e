"""Oracle: a loop over single colour values."""

import torch
from whole_detector import SplitDetector, WholeDetector

from hybridal_ray.detectors.interface import Detector, normalise


def test_frames_become_clips_in_minus_one_to_one() -> None:
    frames = torch.randint(0, 256, (2, 3, 4, 5, 3), dtype=torch.uint8)
    frames[0, 0, 0, 0], frames[0, 0, 0, 1] = 0, 255
    before = frames.clone()
    clips = normalise(frames)
    assert clips.shape == (2, 3, 3, 4, 5)
    assert clips.dtype == torch.float32
    for n, t, y, x, c in [(0, 0, 0, 0, 0), (0, 0, 0, 1, 2), *torch.argwhere(frames >= 0)[::7].tolist()]:
        assert abs(clips[n, c, t, y, x].item() - (int(frames[n, t, y, x, c]) - 127.5) / 127.5) < 1e-6
    assert (clips.min(), clips.max()) == (-1, 1)
    assert torch.equal(frames, before)


def test_the_split_tells_a_detector_from_any_other_module() -> None:
    assert isinstance(SplitDetector(2), Detector)
    assert not isinstance(WholeDetector(2), Detector)
