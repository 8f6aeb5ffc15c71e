"""Oracle: the detector loaded from the same checkpoint by hand. What MLflow does with it: test_mlflow_sync.py."""

from pathlib import Path

import numpy as np
import torch

from hybridal_ray.detectors.checkpoint import load_detector
from hybridal_ray.tracking.logged_detector import _load_pyfunc


def test_predictions_are_those_of_the_checkpoint(finished_run: Path) -> None:
    checkpoint = str(finished_run / "rounds/000/train/checkpoint")
    model = _load_pyfunc(checkpoint)
    clips = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 32, 32)).astype(np.float32)
    answer = model.predict(clips)
    detector = load_detector(checkpoint).detector
    with torch.inference_mode():
        expected = detector.decode(detector.encode(torch.from_numpy(clips)))
    np.testing.assert_allclose(answer["mask_probabilities"], torch.sigmoid(expected.mask_logits), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer["class_scores"], expected.class_scores, rtol=1e-5, atol=1e-6)
    assert model.get_raw_model().centres.shape == (2, 6)
