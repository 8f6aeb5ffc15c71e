"""Scoring one video: uncertainty of every frame, the frames to label, the video's score and its latent."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hybridal_ray.detectors.clips import FrameIndices, tile_clips
from hybridal_ray.detectors.feature_cache import FeatureCache
from hybridal_ray.detectors.interface import Detector, DetectorSpec, normalise
from hybridal_ray.detectors.monte_carlo import (
    MonteCarloPasses,
    PassDecoder,
    Seeds,
    clips_of,
    encode_once,
    pass_decoder,
    passes_over_features,
    video_pass_seeds,
)
from hybridal_ray.pool.decoding import UnreadableVideo, iter_frames
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.class_uncertainty import class_entropy
from hybridal_ray.scoring.clip_stream import ClipStream, Frame
from hybridal_ray.scoring.frame_choice import Spacing, choose_frames, video_score
from hybridal_ray.scoring.read_ahead import ReadAhead
from hybridal_ray.scoring.shortcuts import Shortcuts, interpolate_unseen, passes_until_stable
from hybridal_ray.scoring.uncertainty import FrameUncertainty, Measure, Reading, Reduction, frame_uncertainty
from hybridal_ray.storage_patience import patiently


@dataclass(frozen=True)
class UncertaintySettings:
    """How videos are scored; the defaults of the configuration stand there, not here.

    Attributes:
        passes: R, passes of Monte Carlo Dropout.
        reading: See `frame_uncertainty`.
        reduction: See `frame_uncertainty`.
        foreground_threshold: θ, see `frame_uncertainty`.
        empty_frame_score: See `frame_uncertainty`.
        frames_per_video: A, frames taken in a video and averaged into its score.
        sigma: σ_p, see `choose_frames`.
        window: See `choose_frames`.
        spacing: See `choose_frames`.
        measure: See `frame_uncertainty`.
        class_weight: Times `class_entropy`, in [0, 1], added to the score of a video.
    """

    passes: int
    reading: Reading
    reduction: Reduction
    foreground_threshold: float
    empty_frame_score: float
    frames_per_video: int
    sigma: float
    window: int
    spacing: Spacing
    measure: Measure = "neg_log"
    class_weight: float = 0.0


@dataclass(frozen=True)
class VideoUncertainty:
    """What the passes over a video leave.

    Attributes:
        profile: (F,), float64, uncertainty of every frame: the mean over its appearances in clips on which it has
            foreground.
        empty: (F,), bool, frames that have foreground in none of them; they score `empty_frame_score`.
        latent: (D,), float64, mean over the clips.
        class_scores: (C,), float64, probability of each class, mean over the clips.
    """

    profile: npt.NDArray[np.float64]
    empty: npt.NDArray[np.bool_]
    latent: npt.NDArray[np.float64]
    class_scores: npt.NDArray[np.float64]


class VideoScorer:
    """A detector with all that is needed to score videos with it, one after the other.

    Args:
        detector: In evaluation mode, on `device`.
        spec: Size and clip length that the detector expects.
        settings: See `UncertaintySettings`.
        run_seed: With the round, the video's id, the clip and the pass, decides the dropout masks.
        round_index: The round.
        device: Where the detector runs.
        clips_per_batch: Clips of one video that pass the detector together, each R times; bounds memory.
        feature_cache: Of this detector; a clip whose features it holds is neither decoded nor encoded.
        shortcuts: What is left out; nothing unless asked for.
        autocast: Precision of the detector's products, such as ``torch.bfloat16``; None for that of its weights.
    """

    def __init__(
        self,
        detector: nn.Module,
        spec: DetectorSpec,
        settings: UncertaintySettings,
        *,
        run_seed: int,
        round_index: int,
        device: torch.device,
        clips_per_batch: int,
        feature_cache: FeatureCache | None = None,
        shortcuts: Shortcuts | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        self._detector = detector
        self._spec = spec
        self._settings = settings
        self._run_seed = run_seed
        self._round_index = round_index
        self._device = device
        self._clips_per_batch = clips_per_batch
        self._feature_cache = feature_cache
        self._shortcuts = Shortcuts() if shortcuts is None else shortcuts
        self._autocast = autocast
        self._expected: dict[str, ReadAhead] = {}
        self._decoder: PassDecoder | None = pass_decoder(detector) if isinstance(detector, Detector) else None

    def expect(self, video: Video) -> None:
        """Begins to decode the video that will be scored next; with kept features, nothing may need decoding."""
        if self._feature_cache is None and video.video_id not in self._expected:
            self._expected[video.video_id] = self._reader(video)
            self._expected[video.video_id].start()

    def score_video(self, video: Video, labelled: Sequence[int]) -> dict[str, Any]:
        """Scores a video in one pass over its file, which is decoded while the detector runs.

        Args:
            video: Which video.
            labelled: Its frames that are labelled already; of labels, nothing else is known here.

        Returns:
            A row of `SCORES_SCHEMA`. A video that cannot be decoded gets a row with the reason in ``error``.
        """
        try:
            found = patiently(lambda: self._uncertainty_of_file(video))
        except UnreadableVideo as error:
            return error_row(video, error.reason)
        settings = self._settings
        choices = choose_frames(
            found.profile,
            labelled,
            settings.frames_per_video,
            sigma=settings.sigma,
            window=settings.window,
            spacing=settings.spacing,
        )
        score = video_score(choices)
        if score is not None:
            score += settings.class_weight * class_entropy(found.class_scores)
        return {
            "video_id": video.video_id,
            "video_score": score,
            "frames": [choice.frame for choice in choices],
            "frame_scores": [choice.score for choice in choices],
            "frame_penalties": [choice.penalty for choice in choices],
            "latent": found.latent.tolist(),
            "profile": found.profile.tolist(),
            "empty_frames": int(found.empty.sum()),
            "class_scores": found.class_scores.tolist(),
            "error": None,
        }

    def _uncertainty_of_file(self, video: Video) -> VideoUncertainty:
        with self._expected.pop(video.video_id, None) or self._reader(video) as frames:
            return self.uncertainty(video, frames)

    def _reader(self, video: Video) -> ReadAhead:
        return ReadAhead(functools.partial(iter_frames, video.uri, self._spec.input_size))

    def uncertainty(self, video: Video, frames: Iterable[Frame]) -> VideoUncertainty:
        """Runs the detector over all clips of a video, a batch of clips at a time, each clip R times.

        Args:
            video: Its number of frames decides the clips.
            frames: Its frames from the first on, each (S, S, 3) with S the detector's input size. Read once, as
                far as clips need them; no more than a few clips of them are held.

        Raises:
            UnreadableVideo: There are fewer frames than the pool says.
        """
        settings = self._settings
        clips = tile_clips(video.num_frames, self._spec.clip_frames, self._spec.clip_stride)
        seeds = video_pass_seeds(self._run_seed, self._round_index, video.video_id, len(clips), settings.passes)
        clips, seeds = clips[:: self._shortcuts.clip_step], seeds[:: self._shortcuts.clip_step]
        sums, counts = np.zeros(video.num_frames), np.zeros(video.num_frames, dtype=np.int64)
        latents, classes = [], []
        stream = ClipStream(frames, clips, video.uri)
        for start in range(0, len(clips), self._clips_per_batch):
            batch = slice(start, min(start + self._clips_per_batch, len(clips)))
            for clip, passes in zip(
                clips[batch], self._passes(stream, video.uri, clips, batch, seeds[batch]), strict=True
            ):
                latents.append(passes.latents[0].cpu().numpy())
                classes.append(passes.class_probabilities[0].cpu().numpy())
                scored = self._frame_uncertainty(passes.mask_probabilities[0])
                np.add.at(sums, clip, scored.scores.cpu().numpy())
                np.add.at(counts, clip, ~scored.empty.cpu().numpy())
        profile = np.where(counts == 0, settings.empty_frame_score, sums / np.maximum(counts, 1))
        seen = np.isin(np.arange(video.num_frames), clips)
        return VideoUncertainty(
            profile=interpolate_unseen(profile, seen),
            empty=interpolate_unseen(counts == 0, seen) > 0.5,
            latent=np.stack(latents).mean(axis=0, dtype=np.float64),
            class_scores=np.stack(classes).mean(axis=0, dtype=np.float64),
        )

    @torch.inference_mode()
    def _passes(
        self, stream: ClipStream, uri: str, clips: FrameIndices, batch: slice, seeds: Seeds
    ) -> list[MonteCarloPasses]:
        """The passes over each clip of a batch."""
        with torch.autocast(self._device.type, self._autocast, enabled=self._autocast is not None):
            features = self._features(stream, uri, clips, batch)

            def run(clip: slice, seeds: Seeds) -> MonteCarloPasses:
                return passes_over_features(self._detector, clips_of(features, clip), seeds, self._decoder)

            if self._shortcuts.stable_ranking is None:
                found = run(slice(None), seeds)
                return [
                    MonteCarloPasses(*(values.unsqueeze(0) for values in of_clip))
                    for of_clip in zip(found.mask_probabilities, found.latents, found.class_probabilities, strict=True)
                ]
            return [
                passes_until_stable(
                    functools.partial(run, slice(n, n + 1)),
                    seeds[n : n + 1],
                    lambda probabilities: self._frame_uncertainty(probabilities).scores.cpu().numpy(),
                    reliability=self._shortcuts.stable_ranking,
                    at_once=self._shortcuts.passes_at_once,
                )
                for n in range(len(seeds))
            ]

    def _features(self, stream: ClipStream, uri: str, clips: FrameIndices, batch: slice) -> Any:
        def inputs() -> Tensor:
            return normalise(torch.from_numpy(stream.pixels(batch)).to(self._device))

        if self._feature_cache is None:
            return encode_once(self._detector, inputs())
        return self._feature_cache.encode(uri, clips[batch], inputs)

    def _frame_uncertainty(self, probabilities: Tensor) -> FrameUncertainty:
        """Of the frames of one clip, from (R, T, H, W)."""
        return frame_uncertainty(
            probabilities,
            measure=self._settings.measure,
            reading=self._settings.reading,
            reduction=self._settings.reduction,
            foreground_threshold=self._settings.foreground_threshold,
            empty_frame_score=0.0,
        )


def error_row(video: Video, reason: str) -> dict[str, Any]:
    """The row of `SCORES_SCHEMA` of a video that could not be scored."""
    return {**dict.fromkeys(SCORES_SCHEMA.names), "video_id": video.video_id, "error": reason}
