"""What is told of a run and its rounds: numbers by name and step, settings by dotted name, files by path.

Nothing here knows MLflow, apart from the letters that it allows in names.
"""

import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from hybridal_ray.dotted_fields import leaves
from hybridal_ray.pool import storage
from hybridal_ray.tracking.run_reader import (
    RoundRecord,
    read_analysis,
    read_clusters,
    read_selection,
    read_start,
    report_directory,
    round_directory,
)

_LONGEST_NAME = 250  # limit of MLflow


@dataclass(frozen=True)
class Point:
    """One value of a curve.

    Attributes:
        name: Of the metric, in the letters that MLflow allows.
        value: Finite.
        step: Labelled frames, or the epoch for what training leaves.
    """

    name: str
    value: float
    step: int


def curve_points(record: RoundRecord) -> list[Point]:
    """What the parent run's curves gain by a round, with step = labelled frames.

    Budget, metrics, those of the validation split as ``validation/…``, and stage times.
    """
    budget = {
        "labelled_videos": record.labelled_videos,
        "labelled_frames": record.labelled_frames,
        "percent_of_pool_frames": record.percent_of_pool_frames,
        "boxes": record.boxes,
        "labour_seconds": record.labour_seconds,
    }
    metrics = {name: value for name, value in record.metrics.items() if name != "per_class"}
    metrics |= {f"validation/{name}": value for name, value in record.validation.items() if name != "per_class"}
    seconds = {f"{stage}_seconds": value for stage, value in record.stage_seconds.items()}
    return list(_points({**budget, **metrics, **seconds}, record.labelled_frames))


def round_points(run_root: str, record: RoundRecord) -> list[Point]:
    """Everything that is counted or measured in one round.

    Beside `curve_points`: metrics by class, the stages' summaries, ``cluster_<k>_size`` and ``cluster_<k>_quota``
    (videos), all with step = labelled frames; and the training history with step = epoch.
    """
    step = record.labelled_frames
    points = curve_points(record)
    for class_name, metrics in record.metrics.get("per_class", {}).items():
        points.extend(_points({f"per_class/{class_name}/{name}": value for name, value in metrics.items()}, step))
    for stage, summary in record.stage_summaries.items():
        counts = {f"{stage}/{name}": value for name, value in summary.items() if name != "seconds"}
        points.extend(_points(counts, step))
    if record.index == 0:  # what was bought to begin with has no round of its own
        bought = {f"start/{name}": value for name, value in read_start(run_root).items()}
        points.extend(_points(bought, step))
    points.extend(_points(analysis_figures(read_analysis(run_root, record.index) or {}), step))
    for cluster in cluster_rows(run_root, record.index):
        sizes = {f"cluster_{cluster['cluster']}_{name}": cluster[name] for name in ("size", "quota")}
        points.extend(_points(sizes, step))
    for epoch in record.history:
        losses = {f"training/{name}": value for name, value in epoch.items() if name not in ("epoch", "ended_at")}
        points.extend(_points(losses, int(epoch["epoch"])))
    return points


def analysis_figures(analysis: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an error analysis, by name: ``errors/<kind>_gain``, ``calibration/…``, ``breakdowns/…``."""
    kinds = analysis.get("errors", {}).get("kinds", {})
    calibration = {name: found for name, found in analysis.get("calibration", {}).items() if found is not None}
    return {
        **{f"errors/{kind}_gain": found["gain"] for kind, found in kinds.items()},
        **{f"errors/{kind}_count": found["count"] for kind, found in kinds.items()},
        **{f"calibration/{name}_ece": found["expected_calibration_error"] for name, found in calibration.items()},
        **{
            f"breakdowns/{measure}_{part['name']}": part["video_map@0.5"]
            for measure, parts in analysis.get("breakdowns", {}).items()
            for part in parts
        },
    }


def cluster_rows(run_root: str, round_index: int) -> list[dict[str, int]]:
    """The clusters of a round: how large each is, what it was given, what was picked from it.

    Returns:
        One dict a cluster, ascending: cluster, size (videos of the pool), quota (videos), picked_videos,
        picked_frames; empty where the strategy does not cluster or has not run yet.
    """
    clusters, selection = read_clusters(run_root, round_index), read_selection(run_root, round_index)
    if clusters is None or selection is None:
        return []
    sizes = Counter(clusters.values())
    picks = selection.filter(pc.is_valid(selection["cluster"])).group_by("cluster")
    by_cluster = {
        row["cluster"]: row
        for row in picks.aggregate([("quota", "max"), ("video_id", "count_distinct"), ("frame", "count")]).to_pylist()
    }
    return [
        {
            "cluster": cluster,
            "size": sizes[cluster],
            "quota": (by_cluster.get(cluster) or {}).get("quota_max") or 0,
            "picked_videos": by_cluster.get(cluster, {}).get("video_id_count_distinct", 0),
            "picked_frames": by_cluster.get(cluster, {}).get("frame_count", 0),
        }
        for cluster in sorted(sizes)
    ]


def round_files(run_root: str, record: RoundRecord) -> dict[str, bytes]:
    """The files of a round worth a look, by the path under which they are kept: what is there so far."""
    directory = round_directory(run_root, record.index)
    files: dict[str, bytes] = {}
    for stage, name in (("train", "train/history.json"), ("evaluate", "evaluate/metrics.json")):
        if stage in record.stage_summaries:
            files[name.rpartition("/")[2]] = storage.read_bytes(storage.join(directory, *name.split("/")))
    analysis = read_analysis(run_root, record.index)
    if analysis is not None:
        files["analysis.json"] = (json.dumps(analysis, indent=1) + "\n").encode()
        kinds = analysis["errors"]["kinds"]
        files["errors.csv"] = _csv(pa.Table.from_pylist([{"kind": kind, **found} for kind, found in kinds.items()]))
    selection = read_selection(run_root, record.index)
    if selection is not None:
        files["selection.parquet"] = storage.read_bytes(storage.join(directory, "selection.parquet"))
        files["selection.csv"] = _csv(selection)
    clusters = cluster_rows(run_root, record.index)
    if clusters:
        files["clusters.csv"] = _csv(pa.Table.from_pylist(clusters))
    for figure in storage.list_files(report_directory(run_root, record.index), suffix=".png"):
        files[f"report/{figure.rpartition('/')[2]}"] = storage.read_bytes(figure)
    return files


def flat_settings(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The configuration as dotted fields, in the letters that MLflow allows, with their values as text.

    Lists stay one value.
    """
    return {metric_name(name): str(value) for name, value in leaves(configuration)}


def metric_name(name: str) -> str:
    """The name of a metric or a setting as MLflow allows it: ``frame_map@0.5`` becomes ``frame_map_at_0.5``.

    Letters that are not allowed become underscores, and so does what would be no name of its own in a path; names that
    are too long are cut.
    """
    allowed = re.sub(r"[^\w\-. :/]", "_", name.replace("@", "_at_"), flags=re.ASCII)
    return "/".join(re.sub(r"^\.+", "_", part) or "_" for part in allowed.split("/"))[:_LONGEST_NAME].rstrip("/")


def _points(values: Mapping[str, Any], step: int) -> Iterator[Point]:
    for name, value in values.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            yield Point(metric_name(name), float(value), step)


def _csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pacsv.write_csv(table, sink)
    return sink.getvalue()
