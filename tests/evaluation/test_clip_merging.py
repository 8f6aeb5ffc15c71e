"""Oracles: a detector whose output is the place in the clip, merged in a loop; frames that pass through unchanged."""

import numpy as np
import pytest
import torch
from bright_detector import BrightDetector, CountingDetector, moving_squares

from hybridal_ray.detectors.clips import tile_clips
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.evaluation.clip_merging import merged_maps

SPEC = DetectorSpec("", num_classes=1, input_size=16, clip_frames=4, clip_stride=2)


def merged(detector, frames, batch_clips, spec=SPEC):
    return list(merged_maps(detector, spec, frames, device=torch.device("cpu"), batch_clips=batch_clips))


@pytest.mark.parametrize("num_frames", [1, 3, 8, 9, 13, 16, 21])
@pytest.mark.parametrize("batch_clips", [1, 3, 50])
def test_every_frame_is_the_mean_over_its_places_in_all_clips(num_frames, batch_clips):
    places = [[] for _ in range(num_frames)]
    for clip in tile_clips(num_frames, SPEC.clip_frames, SPEC.clip_stride):
        for place, frame in enumerate(clip):
            places[frame].append(place)
    maps = merged(CountingDetector(), np.zeros((num_frames, 16, 16, 3), np.uint8), batch_clips)
    assert len(maps) == num_frames
    for of_frame, seen in zip(maps, places, strict=True):
        probability = np.mean([1 / (1 + np.exp(-place)) for place in seen])
        np.testing.assert_allclose(of_frame.foreground, np.full((16, 16), probability), rtol=1e-6)
        np.testing.assert_allclose(of_frame.class_logits, np.full((1, 2, 2), np.mean(seen)), rtol=1e-6)


def test_maps_belong_to_their_frames():
    frames, _ = moving_squares(11)
    for of_frame, frame in zip(merged(BrightDetector(), frames, 2), frames, strict=True):
        np.testing.assert_array_equal(of_frame.foreground > 0.5, frame[..., :2].max(axis=-1) > 127)


def test_a_detector_of_whole_clips_has_one_cell():
    frames, _ = moving_squares(8)
    maps = merged(BrightDetector(whole_clip=True), frames, 1)
    assert {of_frame.class_logits.shape for of_frame in maps} == {(2, 1, 1)}
    np.testing.assert_allclose(maps[0].class_logits.ravel(), [5.0, 5.0])
