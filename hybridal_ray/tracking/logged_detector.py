"""A detector as MLflow keeps it: the checkpoint directory, loaded by this module, without a pickle of code."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hybridal_ray.detectors.checkpoint import LoadedDetector, load_detector


class LoggedDetector:
    """What `mlflow.pyfunc.load_model` wraps: predictions for callers without torch, the detector for the others.

    Args:
        loaded: The detector out of the checkpoint.

    Example:
        >>> model = mlflow.pyfunc.load_model("models:/hybridal-demo@best")
        >>> detector = model.get_raw_model().detector.train()  # Monte Carlo Dropout and further training work
    """

    def __init__(self, loaded: LoadedDetector) -> None:
        self._loaded = loaded

    def get_raw_model(self) -> LoadedDetector:
        """The detector itself, with its specification and its centres."""
        return self._loaded

    def predict(
        self, model_input: npt.NDArray[np.float32], params: dict[str, Any] | None = None
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Runs the detector, without dropout, on clips.

        Args:
            model_input: (N, 3, T, H, W), RGB in [-1, 1], of the size that the specification names.
            params: MLflow hands these to every model; the detector has none.

        Returns:
            ``mask_probabilities`` (N, T, H, W) in [0, 1], ``class_scores`` (N, C) logits, ``latent`` (N, D).
        """
        detector: Any = self._loaded.detector
        with torch.inference_mode():
            output = detector.decode(detector.encode(torch.as_tensor(model_input)))
        return {
            "mask_probabilities": output.mask_logits.sigmoid().numpy(),
            "class_scores": output.class_scores.numpy(),
            "latent": output.latent.numpy(),
        }


def _load_pyfunc(data_path: str) -> LoggedDetector:
    """The entry point that MLflow looks up in a model's loader module."""
    return LoggedDetector(load_detector(data_path, "cpu"))
