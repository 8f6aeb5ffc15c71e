"""What uncertainty tells of a detector's mistakes: on which frames of a video, in which videos, and of their class.

``python benchmarks/uncertainty.py CHECKPOINT POOL --out OUT [--split test] [--videos 40] [--passes 10]``

A frame is wrong by 1 − IoU of the predicted foreground and the labelled one, in pixels; 0 where both are empty. A video
is wrong by the mean of that, and of its class where the likeliest class is none of its actors'. Leaves
``uncertainty.md`` in OUT: rank correlation within videos and between videos, how much more than a random frame the four
most uncertain ones are wrong, and the area under the ROC curve of the class's entropy for a wrong class.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from hybridal_ray.detectors.checkpoint import LoadedDetector, load_detector
from hybridal_ray.evaluation.clip_merging import merged_maps
from hybridal_ray.pool.decoding import iter_frames
from hybridal_ray.pool.ledger import VideoLabels, labels_by_video, labels_of_tubes
from hybridal_ray.pool.tables import Video, load_pool
from hybridal_ray.scoring.class_uncertainty import class_entropy
from hybridal_ray.scoring.uncertainty import Measure
from hybridal_ray.scoring.video_scoring import UncertaintySettings, VideoScorer
from hybridal_ray.training.rendering import TrackRenderer
from hybridal_ray.training.tracks import tracks_of

TAKEN = 4  # frames of a video that would be labelled
DEVICE = torch.device("cpu")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Looked:
    """One video under one measure.

    Attributes:
        uncertainty: (F,), of each frame.
        error: (F,), how wrong the foreground is, in [0, 1].
        class_entropy: Of the predicted class, in [0, 1].
        class_wrong: Whether that is none of the actors'.
    """

    uncertainty: Floats
    error: Floats
    class_entropy: float
    class_wrong: bool


def main() -> None:
    """Looks at every video under every measure, then writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("pool")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--passes", type=int, default=10)
    arguments = parser.parse_args()
    loaded, pool = load_detector(arguments.checkpoint), load_pool(arguments.pool)
    videos = pool.usable_videos(arguments.split)
    videos = videos[:: max(len(videos) // arguments.videos, 1)][: arguments.videos]
    labels = labels_by_video(labels_of_tubes(pool.tubes_of([video.video_id for video in videos])))
    rows = []
    for measure in get_args(Measure):
        looked = [_look(loaded, video, labels.get(video.video_id, {}), measure, arguments.passes) for video in videos]
        rows.append(_row(measure, looked))
        print(rows[-1], flush=True)
    head = "| measure | within videos | between videos | four most uncertain frames | class entropy, AUC |"
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])
    (arguments.out / "uncertainty.md").write_text(f"{table}\n\n{len(videos)} videos, {arguments.passes} passes.\n")


def _look(loaded: LoadedDetector, video: Video, labels: VideoLabels, measure: Measure, passes: int) -> Looked:
    settings = UncertaintySettings(
        passes,
        "mean_of_log",
        "mean",
        0.4,
        0.0,
        frames_per_video=TAKEN,
        sigma=8 / 3,
        window=4,
        spacing="window",
        measure=measure,
    )
    scorer = VideoScorer(
        loaded.detector, loaded.spec, settings, run_seed=0, round_index=0, device=DEVICE, clips_per_batch=4
    )
    frames = np.stack(list(iter_frames(video.uri, loaded.spec.input_size)))
    found = scorer.uncertainty(video, frames)
    return Looked(
        found.profile,
        _errors(loaded, video, frames, labels),
        class_entropy(found.class_scores),
        int(found.class_scores.argmax()) not in {actor.class_id for actors in labels.values() for actor in actors},
    )


def _errors(loaded: LoadedDetector, video: Video, frames: npt.NDArray[np.uint8], labels: VideoLabels) -> Floats:
    """(F,), 1 − IoU of the foreground that the detector predicts without dropout and that of the labels."""
    renderer = TrackRenderer(tracks_of(labels, video.num_frames), (video.height, video.width), loaded.spec.input_size)
    truth = renderer.render(np.arange(video.num_frames)) > 0
    truth[[frame for frame in range(video.num_frames) if frame not in labels]] = False  # nobody acts there
    errors = []
    for real, maps in zip(
        truth, merged_maps(loaded.detector, loaded.spec, frames, device=DEVICE, batch_clips=4), strict=True
    ):
        predicted = maps.foreground > 0.5
        either = np.count_nonzero(real | predicted)
        errors.append(1 - np.count_nonzero(real & predicted) / either if either else 0.0)
    return np.array(errors)


def _row(measure: Measure, looked: Sequence[Looked]) -> str:
    within = [
        spearmanr(video.uncertainty, video.error).statistic
        for video in looked
        if np.ptp(video.uncertainty) > 0 and np.ptp(video.error) > 0
    ]
    between = spearmanr([video.uncertainty.mean() for video in looked], [video.error.mean() for video in looked])
    gains = [video.error[np.argsort(-video.uncertainty)[:TAKEN]].mean() - video.error.mean() for video in looked]
    wrong = [video.class_wrong for video in looked]
    area = roc_auc_score(wrong, [video.class_entropy for video in looked]) if 0 < sum(wrong) < len(wrong) else np.nan
    return (
        f"| {measure} | {np.mean(within):.2f} ± {_error_of_mean(within):.2f} | {between.statistic:.2f} "
        f"| {np.mean(gains):+.3f} ± {_error_of_mean(gains):.3f} | {area:.2f} |"
    )


def _error_of_mean(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


if __name__ == "__main__":
    main()
