"""A video scored the straightforward way and this package's, in turn, with the same masks: for `scoring.py`."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hybridal_ray.detectors.clips import tile_clips
from hybridal_ray.detectors.dropout import seeded_dropout
from hybridal_ray.detectors.interface import DetectorOutput, DetectorSpec, normalise
from hybridal_ray.detectors.monte_carlo import Generators, PassDecoder, pass_decoder, video_pass_seeds
from hybridal_ray.pool.decoding import iter_frames, read_video
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.pool_scorer import CLIPS_PER_BATCH
from hybridal_ray.scoring.shortcuts import rank_correlation
from hybridal_ray.scoring.uncertainty import frame_uncertainty
from hybridal_ray.scoring.video_scoring import UncertaintySettings, VideoScorer, VideoUncertainty

OUTPUTS = ("mask_logits", "class_scores", "latent")
T = TypeVar("T")


@dataclasses.dataclass
class Clock:
    """Seconds spent in some part of the work; on a GPU its queue is emptied first."""

    device: torch.device
    seconds: float = 0.0
    _started: float = 0.0

    def __enter__(self) -> None:
        self._started = self._now()

    def __exit__(self, *_: object) -> None:
        self.seconds += self._now() - self._started

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class Watched(nn.Module):
    """A detector of which the time that it takes is measured, and what it finds kept."""

    def __init__(self, detector: nn.Module, clock: Clock) -> None:
        super().__init__()
        self.detector, self.clock = detector, clock
        self.kept: list[DetectorOutput] = []
        self._decoder = pass_decoder(detector)

    def encode(self, clips: Tensor) -> Any:
        """See `Detector`."""
        encode: Any = self.detector.encode
        with self.clock:
            return encode(clips)

    def decode(self, features: Any) -> DetectorOutput:
        """See `Detector`; not called, for there are passes."""
        raise NotImplementedError

    def pass_decoder(self) -> PassDecoder:
        """See `DecodesPasses`."""
        return self.decode_passes

    def decode_passes(self, features: Any, generators: Generators) -> DetectorOutput:
        """See `PassDecoder`."""
        with self.clock:
            output = self._decoder(features, generators)
        self.kept.append(output)
        return output


def scorer_of(
    detector: nn.Module, spec: DetectorSpec, settings: UncertaintySettings, device: torch.device, **ways: Any
) -> VideoScorer:
    """Scores as a worker of the pool does; `ways` are its inexact ones."""
    return VideoScorer(
        detector, spec, settings, run_seed=0, round_index=0, device=device,
        clips_per_batch=CLIPS_PER_BATCH.get(device.type, 1), **ways,
    )  # fmt: skip


def compare(
    detector: nn.Module, spec: DetectorSpec, settings: UncertaintySettings, video: Video, device: torch.device
) -> dict[str, Any]:
    """One video the straightforward way, and this package's before and after it, with what either took."""
    decoding, model = Clock(device), Clock(device)
    watched = Watched(detector, model)
    scorer = scorer_of(watched, spec, settings, device)

    def here() -> VideoUncertainty:
        watched.kept.clear()
        return scorer.uncertainty(video, _clocked(iter_frames(video.uri, spec.input_size), decoding))

    here()  # prepares the kernels, once for all videos
    decoding.seconds = model.seconds = 0.0
    before = _timed(here)[1]
    (plain_scores, plain_outputs), plain = _timed(lambda: _straightforward(detector, spec, settings, video, device))
    found, after = _timed(here)
    row = {
        "video": video.video_id,
        "frames": video.num_frames,
        "clips": len(plain_outputs) // settings.passes,
        "plain_seconds": plain.wall,
        "plain_cpu_seconds": plain.cpu,
        "seconds": (before.wall + after.wall) / 2,
        "cpu_seconds": (before.cpu + after.cpu) / 2,
        "decoding_share": decoding.seconds / (before.wall + after.wall),
        "model_share": model.seconds / (before.wall + after.wall),
        "largest_differences": _largest_differences(plain_outputs, watched.kept),
        "profile_difference": float(np.abs(plain_scores - found.profile).max()),
        "rank_correlation": rank_correlation(plain_scores, found.profile),
        "frames_without_foreground": int(found.empty.sum()),
    }
    print(json.dumps(row))
    return row


class Taken(NamedTuple):
    """Seconds, by the clock on the wall and of this process on CPUs; the second hears less of busy neighbours."""

    wall: float
    cpu: float


def _timed(work: Callable[[], T]) -> tuple[T, Taken]:
    wall, cpu = time.perf_counter(), time.process_time()
    done = work()
    return done, Taken(time.perf_counter() - wall, time.process_time() - cpu)


@torch.inference_mode()
def _straightforward(
    detector: nn.Module, spec: DetectorSpec, settings: UncertaintySettings, video: Video, device: torch.device
) -> tuple[np.ndarray, list[DetectorOutput]]:
    """Scores of all frames, and every single output: what one would write without this package."""
    frames = normalise(torch.from_numpy(read_video(video.uri, spec.input_size)).unsqueeze(0)).to(device)
    clips = tile_clips(video.num_frames, spec.clip_frames, spec.clip_stride)
    seeds = video_pass_seeds(0, 0, video.video_id, len(clips), settings.passes)
    sums, counts = np.zeros(video.num_frames), np.zeros(video.num_frames)
    outputs = []
    for clip, clip_seeds in zip(clips, seeds, strict=True):
        probabilities = []
        for seed in clip_seeds:
            with seeded_dropout(detector, [torch.Generator().manual_seed(int(seed))]):
                outputs.append(detector(frames[:, :, torch.from_numpy(clip)]))
            probabilities.append(outputs[-1].mask_logits.sigmoid())
        scored = frame_uncertainty(
            torch.cat(probabilities), reading=settings.reading, reduction=settings.reduction,
            foreground_threshold=settings.foreground_threshold, empty_frame_score=0.0,
        )  # fmt: skip
        np.add.at(sums, clip, scored.scores.cpu().numpy())
        np.add.at(counts, clip, ~scored.empty.cpu().numpy())
    return np.where(counts == 0, settings.empty_frame_score, sums / np.maximum(counts, 1)), outputs


def _clocked(frames: Iterable[Any], clock: Clock) -> Iterator[Any]:
    iterator = iter(frames)
    while True:
        with clock:
            frame = next(iterator, None)
        if frame is None:
            return
        yield frame


def _largest_differences(plain: Sequence[DetectorOutput], found: Sequence[DetectorOutput]) -> dict[str, float]:
    return {
        name: float(
            (torch.cat([getattr(o, name) for o in plain]) - torch.cat([getattr(o, name) for o in found])).abs().max()
        )
        for name in OUTPUTS
    }
