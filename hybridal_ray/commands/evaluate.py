"""``hybridal evaluate``: any file of predictions, every convention, and why the figures are what they are."""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import typer

from hybridal_ray.errors import UserError

if TYPE_CHECKING:
    from hybridal_ray.pool.decoding import VideoFacts
    from hybridal_ray.pool.formats.ava import Clock


class Format(StrEnum):
    """Of a file of predictions."""

    AUTO = "auto"
    OURS = "ours"
    ACT = "act"
    AVA = "ava"


@dataclass(frozen=True)
class _Truth:
    """What is true of which videos."""

    tubes: pa.Table
    video_ids: Sequence[str]
    classes: Sequence[str]
    labelled: Mapping[str, Sequence[int]] | None
    actions: Sequence[int]  # ids in an AVA file, by class id
    facts: Mapping[str, "VideoFacts"] | None  # to turn shares of the picture into pixels, and times into frames
    excluded: frozenset[tuple[str, int]] | None  # timestamps, where the truth is AVA's own; None where it is a pool's
    left_out: int  # videos of the pool's split that are missing or unreadable


@dataclass(frozen=True)
class _Numbering:
    """What the numbers in a foreign file stand for."""

    order: Sequence[str] | None  # the videos that those of an ACT pickle count
    clock: "Clock | None"  # of the timestamps of a csv


def evaluate(
    predictions: Annotated[str, typer.Option(help="Parquet file or directory of parts; ACT pickle; AVA csv.")],
    pool: Annotated[str | None, typer.Option(help="Pool with the ground truth.")] = None,
    split: Annotated[str, typer.Option(help="Of the pool.")] = "test",
    ava_truth: Annotated[str | None, typer.Option(help="AVA csv with the ground truth, instead of a pool.")] = None,
    excluded: Annotated[
        str | None, typer.Option(help="With --ava-truth: AVA csv of timestamps that are left out.")
    ] = None,
    labelled: Annotated[
        str | None,
        typer.Option(help="With --pool: Parquet of video_id, frame: the labelled frames, instead of what it says."),
    ] = None,
    clusters: Annotated[str | None, typer.Option(help="Parquet of video_id, cluster: scenes to tell apart.")] = None,
    label_map: Annotated[
        str | None,
        typer.Option(help="Actions in a csv: pbtxt, or csv of id and name; with --ava-truth, those that count."),
    ] = None,
    first_frame: Annotated[
        int | None, typer.Option(min=0, max=1, help="With --pool: number of the first frame in a csv, 1 if not given.")
    ] = None,
    starts_at: Annotated[
        float | None, typer.Option(help="With --pool: a csv tells seconds, this is the first frame's, as 900 in AVA.")
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(help="The test videos that the numbers in an ACT pickle count: its ground truth, or a text file."),
    ] = None,
    order_split: Annotated[int, typer.Option(min=1, help="Which split of that ground truth.")] = 1,
    form: Annotated[Format, typer.Option("--format", help="Of the predictions; auto goes by the name.")] = Format.AUTO,
    resamples: Annotated[int, typer.Option(min=0, help="Draws of videos behind the intervals.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    figures: Annotated[str | None, typer.Option(help="Directory for the figures, as PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare predictions with the ground truth under every convention, and tell what is wrong with them."""
    from rich.console import Console

    from hybridal_ray.evaluation import figures_table, metrics
    from hybridal_ray.evaluation.analysis import analyse

    of_pools = {"--labelled": labelled, "--first-frame": first_frame, "--starts-at": starts_at}
    _check_truth(pool, ava_truth, of_pools, {"--excluded": excluded})
    truth = (
        _truth(str(pool), split, labelled, label_map)
        if ava_truth is None
        else _ava_truth(ava_truth, excluded, label_map)
    )
    numbering = _numbering(order, order_split, first_frame, starts_at, in_pool=pool is not None)
    evidence = metrics.gather_evidence(
        _tables(predictions, form, truth, numbering),
        truth.tubes,
        truth.video_ids,
        truth.classes,
        labelled=truth.labelled,
    )
    result = metrics.figures(evidence, truth.classes, resamples=resamples, seed=seed)
    result = result | {"videos_left_out": truth.left_out} if ava_truth is None else _of_ava(result)
    analysis = analyse(evidence, truth.classes, _clusters(clusters))
    if figures is not None:
        _draw(analysis, figures)
    if as_json:
        print(json.dumps({"metrics": result, "analysis": analysis}, indent=1))
        return
    console = Console(width=140)
    console.print(figures_table.videos_line(len(truth.video_ids), split, truth.left_out), highlight=False)
    shown = {
        "Conventions (95 % intervals over resampled videos)": figures_table.conventions_table(result),
        "Classes, under ava" if ava_truth else "Classes, under strict": figures_table.classes_table(result),
    }
    if ava_truth is None:
        shown["What is wrong: tubes under strict, IoU 0.5"] = figures_table.errors_table(analysis)
        shown["For whom it is wrong"] = figures_table.breakdowns_table(analysis)
    for title, table in shown.items():
        console.print(f"\n{title}", highlight=False)
        console.print(table)
    for name, found in analysis["calibration"].items():
        if found is not None:
            console.print(f"expected calibration error of {name}: {found['expected_calibration_error']:.4f}")


def _of_ava(result: Mapping[str, Any]) -> dict[str, Any]:
    """What has a meaning for boxes of single frames, as shares of the picture: no tubes, no pixel more."""
    from hybridal_ray.evaluation.conventions import AVA

    prefix = f"{AVA.name}/"
    counts = ("videos", "truth_boxes")
    return {
        **{name: value for name, value in result.items() if name.startswith(prefix) or name in counts},
        "intervals": {name: bounds for name, bounds in result["intervals"].items() if name.startswith(prefix)},
        "per_class": {
            name: {**of_class["conventions"][AVA.name], "truth_boxes": of_class["truth_boxes"]}
            for name, of_class in result["per_class"].items()
        },
    }


def _numbering(
    order: str | None, order_split: int, first_frame: int | None, starts_at: float | None, *, in_pool: bool
) -> _Numbering:
    from hybridal_ray.pool.formats.act import read_video_order
    from hybridal_ray.pool.formats.ava import Clock

    clock = (
        Clock("frames", 1 if first_frame is None else first_frame) if starts_at is None else Clock("seconds", starts_at)
    )
    return _Numbering(None if order is None else read_video_order(order, order_split), clock if in_pool else None)


def _check_truth(
    pool: str | None, ava_truth: str | None, of_pools: Mapping[str, Any], of_ava: Mapping[str, Any]
) -> None:
    """Refuses two truths or none, and options that say nothing of the one there is, instead of leaving them unheard."""
    if (pool is None) == (ava_truth is None):
        raise UserError("expected the ground truth: either --pool or --ava-truth")
    given, other = ("--pool", "--ava-truth") if ava_truth is None else ("--ava-truth", "--pool")
    for option, value in (of_ava if ava_truth is None else of_pools).items():
        if value is not None:
            raise UserError(f"{option}: found {value} beside {given}, expected it beside {other} alone")


def _ava_truth(location: str, excluded: str | None, label_map: str | None) -> _Truth:
    from hybridal_ray.evaluation.ava_csv import read_ava_truth
    from hybridal_ray.pool.formats.ava import read_label_map

    names = None if label_map is None else read_label_map(label_map)
    ava = read_ava_truth(location, excluded, names)
    if not len(ava.truth):
        raise UserError(f"{location}: no box is left, expected some of {label_map or 'any action'} not excluded")
    classes = [str(action) if names is None else f"{names[action]} ({action})" for action in ava.actions]
    return _Truth(ava.truth, ava.video_ids, classes, None, ava.actions, None, ava.excluded, 0)


def _truth(pool: str, split: str, labelled: str | None, label_map: str | None) -> _Truth:
    from hybridal_ray.pool.decoding import VideoFacts
    from hybridal_ray.pool.table_checks import check_split
    from hybridal_ray.pool.tables import load_pool

    check_split(split)
    known = load_pool(pool)
    videos = known.usable_videos(split)
    ids = [video.video_id for video in videos]
    rates = dict(zip(known.videos["video_id"].to_pylist(), known.videos["fps"].to_pylist(), strict=True))
    facts = {v.video_id: VideoFacts(v.num_frames, rates[v.video_id], v.width, v.height) for v in videos}
    frames = known.labelled_frames_of(ids) if labelled is None else _labelled_frames(labelled)
    actions, left_out = _actions(known.classes, label_map), known.left_out(split)
    return _Truth(known.tubes_of(ids), ids, known.classes, frames, actions, facts, None, left_out)


def _actions(classes: Sequence[str], label_map: str | None) -> Sequence[int]:
    """Ids of the pool's classes: by the map; or the names themselves, where the importer had none; or from 1 on."""
    from hybridal_ray.pool.formats.ava import read_label_map

    if label_map is None:
        return [int(name) for name in classes] if all(map(str.isdecimal, classes)) else range(1, len(classes) + 1)
    ids = {name: action for action, name in read_label_map(label_map).items()}
    if strangers := [name for name in classes if name not in ids]:
        raise UserError(f"{label_map}: does not name {strangers[0]!r}, a class of the pool")
    return [ids[name] for name in classes]


def _tables(location: str, form: Format, truth: _Truth, numbering: _Numbering) -> Iterator[pa.Table]:
    from hybridal_ray.evaluation.ava_csv import counted_by_ava

    for table in _all_of(location, form, truth, numbering):
        yield table if truth.excluded is None else counted_by_ava(table, truth.excluded)


def _all_of(location: str, form: Format, truth: _Truth, numbering: _Numbering) -> Iterator[pa.Table]:
    from hybridal_ray.evaluation.act_pickle import read_act_predictions
    from hybridal_ray.evaluation.ava_csv import read_ava_predictions
    from hybridal_ray.evaluation.prediction_files import prediction_tables

    if form is Format.AUTO:
        endings = {".pkl": Format.ACT, ".pickle": Format.ACT, ".csv": Format.AVA}
        form = next((kind for ending, kind in endings.items() if location.endswith(ending)), Format.OURS)
    if form is Format.ACT:
        yield read_act_predictions(location, numbering.order)
    elif form is Format.AVA:
        yield read_ava_predictions(location, truth.actions, truth.facts, numbering.clock)
    else:
        yield from prediction_tables(location)


def _labelled_frames(location: str) -> dict[str, list[int]]:
    from hybridal_ray.pool import table_files

    schema = pa.schema([pa.field("video_id", pa.string()), pa.field("frame", pa.int32())])
    frames: dict[str, list[int]] = {}
    for row in table_files.read_table(location, schema).to_pylist():
        frames.setdefault(row["video_id"], []).append(row["frame"])
    return frames


def _clusters(location: str | None) -> dict[str, int] | None:
    from hybridal_ray.pool import table_files
    from hybridal_ray.pool.round_tables import CLUSTERS_SCHEMA

    if location is None:
        return None
    return {row["video_id"]: row["cluster"] for row in table_files.read_table(location, CLUSTERS_SCHEMA).to_pylist()}


def _draw(analysis: Mapping[str, Any], folder: str) -> None:
    from hybridal_ray.pool import storage
    from hybridal_ray.tracking.error_figures import FIGURES
    from hybridal_ray.tracking.style import to_png

    for name, draw in FIGURES.items():
        png = to_png(functools.partial(draw, analysis))
        if png is not None:
            storage.write_bytes(storage.join(folder, name), png)
