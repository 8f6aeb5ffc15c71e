"""Oracles: squares drawn at known places, and class pooling pixel by pixel."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from bright_detector import BrightDetector, moving_squares, write_video

from hybridal_ray.detectors.feature_cache import FeatureCache
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.evaluation.clip_merging import FrameMaps
from hybridal_ray.evaluation.detecting import (
    DetectionSettings,
    cell_shares,
    class_probabilities,
    detect_video,
    frame_detections,
)
from hybridal_ray.pool.decoding import UnreadableVideo
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.tables import Video

SPEC = DetectorSpec("", num_classes=2, input_size=64, clip_frames=4, clip_stride=2)
WIDTH, HEIGHT = 128, 96


class KeptBrightDetector(BrightDetector):
    """Counts the clips it encodes."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Identity()
        self.encoder.register_forward_hook(self._count)
        self.encoded = 0

    def _count(self, _module, _inputs, clips):
        self.encoded += len(clips)

    def encode(self, clips):
        return self.adapt(self.encoder(clips))

    def adapt(self, clips):
        return clips


def detect(path, num_frames, detector=None, spec=SPEC, feature_cache=None, **settings):
    return detect_video(
        detector or BrightDetector(),
        spec,
        Video("v", str(path), "test", "g", num_frames, WIDTH, HEIGHT),
        device=torch.device("cpu"),
        settings=DetectionSettings(**settings),
        feature_cache=feature_cache,
    )


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    frames, truth = moving_squares(18)
    path = tmp_path_factory.mktemp("videos") / "squares.mp4"
    write_video(path, frames)
    return path, truth


def test_kept_features_give_the_same_rows_without_encoding(squares, tmp_path):
    path, _ = squares
    detector = KeptBrightDetector()
    cache = FeatureCache(str(tmp_path), detector, SPEC)
    expected = detect(path, 18)
    assert detect(path, 18, detector, feature_cache=cache) == expected
    encoded = detector.encoded
    assert encoded > 0
    assert detect(path, 18, detector, feature_cache=cache) == expected
    assert detector.encoded == encoded


def test_squares_become_tubes_at_their_places_in_the_decoded_frame(squares):
    path, truth = squares
    rows = detect(path, 18, min_class_probability=0.5)
    assert pa.Table.from_pylist(rows, PREDICTIONS_SCHEMA).num_rows == len(truth)
    assert len({row["tube_id"] for row in rows}) == 2
    by_place = {(row["class_id"], row["frame"]): row for row in rows}
    for true in truth:
        row = by_place[true["class_id"], true["frame"]]
        # A pixel of the input is 2 pixels of the frame wide and 1.5 high.
        assert [row[k] for k in ("x1", "x2")] == pytest.approx([true[k] for k in ("x1", "x2")], abs=2)
        assert [row[k] for k in ("y1", "y2")] == pytest.approx([true[k] for k in ("y1", "y2")], abs=1.5)


def test_scores_are_objectness_times_the_class_probability_of_the_tube(squares):
    path, _ = squares
    rows = detect(path, 18, min_class_probability=0.0)
    assert len(rows) == 2 * (18 + 9)  # every box once for each class
    for tube_id in {row["tube_id"] for row in rows}:
        of_class = [[row for row in rows if (row["tube_id"], row["class_id"]) == (tube_id, c)] for c in range(2)]
        objectness = [a["score"] + b["score"] for a, b in zip(*of_class, strict=True)]  # probabilities sum to 1
        for class_rows in of_class:
            shares = [row["score"] / o for row, o in zip(class_rows, objectness, strict=True)]
            np.testing.assert_allclose(shares, shares[0])
            np.testing.assert_allclose([row["tube_score"] for row in class_rows], shares[0] * np.mean(objectness))


def test_improbable_classes_are_left_out_but_never_the_best(squares):
    path, _ = squares
    rows = detect(path, 18, min_class_probability=1.1)
    assert {(row["tube_id"], row["class_id"]) for row in rows} == {("tube-000", 0), ("tube-001", 1)}


@pytest.mark.parametrize("whole_clip", [True, False])
def test_actors_of_one_clip_share_their_classes_only_where_the_detector_scores_whole_clips(tmp_path, whole_clip):
    write_video(tmp_path / "both.mp4", moving_squares(32)[0][16:])
    rows = detect(tmp_path / "both.mp4", 16, BrightDetector(whole_clip=whole_clip), min_class_probability=0.0)
    red_share = {}
    for tube_id in ("tube-000", "tube-001"):
        red, green = (next(r for r in rows if (r["tube_id"], r["class_id"]) == (tube_id, c)) for c in (0, 1))
        red_share[tube_id] = red["tube_score"] / (red["tube_score"] + green["tube_score"])
    assert (red_share["tube-000"] == pytest.approx(red_share["tube-001"])) == whole_clip


def test_a_video_without_actors_has_no_rows_and_a_short_one_has(tmp_path):
    write_video(tmp_path / "dark.mp4", np.zeros((5, HEIGHT, WIDTH, 3), np.uint8))
    assert detect(tmp_path / "dark.mp4", 5) == []
    write_video(tmp_path / "short.mp4", moving_squares(1)[0])
    assert {row["frame"] for row in detect(tmp_path / "short.mp4", 1)} == {0}


def test_a_broken_video_is_reported_as_such(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(UnreadableVideo):
        detect(tmp_path / "broken.mp4", 5)


def test_small_regions_are_dropped_by_their_share_of_the_picture():
    foreground = np.zeros((20, 20), np.float32)
    foreground[:4, :5] = 1.0  # 5 % of the picture
    maps = FrameMaps(foreground, np.zeros((2, 1, 1), np.float32))
    assert len(frame_detections(maps, DetectionSettings(min_area=0.05)).boxes) == 1
    assert len(frame_detections(maps, DetectionSettings(min_area=0.051)).boxes) == 0


@pytest.mark.parametrize(("height", "width", "h", "w"), [(16, 24, 2, 3), (10, 7, 3, 2), (5, 5, 1, 1), (4, 6, 8, 6)])
def test_class_pooling_is_the_mean_over_the_pixels_of_the_enlarged_logits(height, width, h, w):
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(4, h, w))
    masks = rng.random((3, height, width)) < 0.4
    masks[:, 0, 0] = True
    # Nearest-neighbour enlargement to a grid that both the pixels and the cells divide.
    fine_logits = np.repeat(np.repeat(logits, height, axis=1), width, axis=2)
    fine_masks = np.repeat(np.repeat(masks, h, axis=1), w, axis=2)
    for row, mask in zip(class_probabilities(logits, masks), fine_masks, strict=True):
        pooled = np.exp(fine_logits[:, mask].mean(axis=1))
        np.testing.assert_allclose(row, pooled / pooled.sum())


def test_class_pooling_of_no_actor():
    assert class_probabilities(np.zeros((3, 2, 2)), np.zeros((0, 8, 8), bool)).shape == (0, 3)


def test_cells_share_out_every_pixel():
    shares = cell_shares(7, 3)
    np.testing.assert_allclose(shares.sum(axis=0), 1.0)
    np.testing.assert_allclose(shares.sum(axis=1), 7 / 3)
