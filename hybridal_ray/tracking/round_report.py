"""The figures of one round, drawn from the run directory and the pool as soon as each can be."""

import functools
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from hybridal_ray.detectors.checkpoint import load_detector
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking import error_figures
from hybridal_ray.tracking.contact_sheet import contact_sheet
from hybridal_ray.tracking.curves import learning_curve, loss_history
from hybridal_ray.tracking.detections_sheet import detections_sheet
from hybridal_ray.tracking.latent_map import latent_map
from hybridal_ray.tracking.run_reader import (
    RoundRecord,
    evaluated_split,
    labelled_before,
    read_analysis,
    read_clusters,
    read_configuration,
    read_latents,
    read_predictions,
    read_rounds,
    read_selection,
    report_directory,
    round_directory,
)
from hybridal_ray.tracking.style import to_png

logger = logging.getLogger(__name__)


def render_round(
    run_root: str, round_index: int, pool: Pool, *, full_supervision: Mapping[str, float] | None = None
) -> list[str]:
    """Draws the figures of a round that its finished stages allow and that are not there yet.

    A figure that cannot be drawn is left out with a warning: no round is lost for the sake of a picture.

    Args:
        run_root: The run directory, a path or URI.
        round_index: Of the round; it must have begun.
        pool: The pool of the run.
        full_supervision: Metrics of a detector trained on every label, for the learning curve; None leaves them out.

    Returns:
        Where the figures of the round lie, old and new, by name.
    """
    records = read_rounds(run_root, pool)[: round_index + 1]
    figures: dict[str, tuple[str, Callable[[], Figure | None]]] = {
        "training_loss.png": ("train", lambda: loss_history(records[round_index].history, round_index)),
        "learning_curve.png": ("evaluate", lambda: _learning_curve(run_root, records, full_supervision)),
        "detections.png": ("evaluate", lambda: _detections(run_root, round_index, pool)),
        "latent_map.png": ("select", lambda: _latent_map(run_root, round_index)),
        "contact_sheet.png": ("select", lambda: _contact_sheet(run_root, round_index, pool)),
    }
    figures |= {
        name: ("evaluate", functools.partial(_error_figure, run_root, round_index, draw))
        for name, draw in error_figures.FIGURES.items()
    }
    for name, (stage, draw) in figures.items():
        location = storage.join(report_directory(run_root, round_index), name)
        if stage in records[round_index].stage_summaries and not storage.exists(location):
            _save(location, draw)
    return storage.list_files(report_directory(run_root, round_index), suffix=".png")


def _save(location: str, draw: Callable[[], Figure | None]) -> None:
    try:
        png = to_png(draw)
    except Exception as error:  # whatever a video, a font or a library does, the round goes on
        logger.warning("%s: not drawn: %s: %s", location, type(error).__name__, error)
        return
    if png is not None:
        storage.write_bytes(location, png)


def _learning_curve(
    run_root: str, records: Sequence[RoundRecord], full_supervision: Mapping[str, float] | None
) -> Figure | None:
    if not any(record.metrics for record in records):
        return None
    return learning_curve(records, evaluated_split(read_configuration(run_root)), full_supervision)


def _detections(run_root: str, round_index: int, pool: Pool) -> Figure | None:
    predictions, split = read_predictions(run_root, round_index), evaluated_split(read_configuration(run_root))
    if predictions is None or len(pool.tubes_of([video.video_id for video in pool.usable_videos(split)])) == 0:
        return None
    return detections_sheet(pool, predictions, split=split, round_index=round_index)


def _error_figure(
    run_root: str, round_index: int, draw: Callable[[error_figures.Analysis], Figure | None]
) -> Figure | None:
    analysis = read_analysis(run_root, round_index)
    return None if analysis is None else draw(analysis)


def _latent_map(run_root: str, round_index: int) -> Figure | None:
    latents = read_latents(run_root, round_index)
    selection = read_selection(run_root, round_index)
    if latents is None or selection is None:
        return None
    checkpoint = storage.join(round_directory(run_root, round_index), "train", "checkpoint")
    return latent_map(
        latents,
        read_clusters(run_root, round_index),
        labelled=labelled_before(run_root, round_index),
        picked=frozenset(selection["video_id"].to_pylist()),
        centres=load_detector(checkpoint).centres,
        round_index=round_index,
    )


def _contact_sheet(run_root: str, round_index: int, pool: Pool) -> Figure | None:
    selection = read_selection(run_root, round_index)
    if selection is None or len(selection) == 0:
        return None
    clusters = read_clusters(run_root, round_index)
    return contact_sheet(
        selection,
        {video.video_id: video for video in pool.usable_videos("train")},
        cluster_sizes=None if clusters is None else Counter(clusters.values()),
        round_index=round_index,
    )
