"""``hybridal predict``: a checkpoint over a pool or over plain video files."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from hybridal_ray.commands.ingest import absolute
from hybridal_ray.errors import UserError
from hybridal_ray.pool.tables import Pool, Video
from hybridal_ray.registry import nearest


def predict(
    checkpoint: Annotated[str, typer.Option(help="Directory of the detector, as training leaves it.")],
    out: Annotated[str, typer.Option(help="The Parquet file to write.")],
    pool: Annotated[str | None, typer.Option(help="Pool whose videos to detect on.")] = None,
    split: Annotated[str, typer.Option(help="Of the pool.")] = "test",
    video: Annotated[list[Path] | None, typer.Option(help="Video file, beside a pool or instead of it.")] = None,
    render: Annotated[str | None, typer.Option(help="Directory for videos with what was found drawn in.")] = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Boxes of lower score are not drawn.")] = 0.1,
    actors: Annotated[int, typer.Option(min=0, help="Ray actors; 0 detects in this process.")] = 0,
    cpus_per_actor: Annotated[float, typer.Option(min=0)] = 1,
    gpus_per_actor: Annotated[float, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Of the section `evaluation`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Detect who acts where and doing what, on the cluster of RAY_ADDRESS or here; exit code 1 if a video fails."""
    from hybridal_ray import cluster
    from hybridal_ray.dispatch import ActorPlan
    from hybridal_ray.evaluation.predicting import predict_videos
    from hybridal_ray.pool.tables import load_pool

    checkpoint, out = absolute(checkpoint), absolute(out)  # actors have another working directory
    pool = None if pool is None else absolute(pool)
    settings = detection_settings(setting or [])
    known = None if pool is None else load_pool(pool)
    videos, rates = _videos(known, split, video or [])
    if actors:
        cluster.connect()
        cluster.check_room({"actors": (actors, cpus_per_actor, gpus_per_actor)})
    summary = predict_videos(
        videos,
        checkpoint,
        out,
        num_classes=None if known is None else len(known.classes),
        settings=settings,
        plan=ActorPlan(actors, cpus_per_actor, gpus_per_actor, device),
        progress=lambda done, total: print(f"{done} of {total} videos", file=sys.stderr),
    )
    rendered = [] if render is None else _render(videos, rates, known, checkpoint, out, render, min_score)
    told = {"predictions": out, "videos": len(videos), **summary, "rendered": rendered}
    print(json.dumps(told, indent=1) if as_json else "\n".join(_lines(told, render)))
    raise typer.Exit(1 if summary["failed"] else 0)


def detection_settings(overrides: list[str]) -> Any:
    """The thresholds of the section ``evaluation``, with some given as ``field=value``.

    Raises:
        UserError: A text is no ``field=value`` in YAML; or as in `checked_settings`.
    """
    values = {}
    for override in overrides:
        field, equals, _ = override.partition("=")
        if not field or not equals:
            raise UserError(f"--set {override}: expected FIELD=VALUE")
        values[field] = yaml_value("--set", override)
    return checked_settings("--set", values)


def yaml_value(option: str, override: str) -> Any:
    """What is behind the equals sign of ``field=value``; None where nothing is.

    Raises:
        UserError: It is not YAML.
    """
    try:
        return yaml.safe_load(override.partition("=")[2])
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "not readable"
        raise UserError(f"{option} {override}: {problem}; expected a value in YAML") from error


def checked_settings(option: str, values: Mapping[str, Any]) -> Any:
    """The thresholds of the section ``evaluation``, with some given.

    Args:
        option: Which gave them, for the message.
        values: By field.

    Raises:
        UserError: A field is none of the thresholds, or its value not allowed.
    """
    from pydantic import ValidationError

    from hybridal_ray.config_sections import EvaluationConfig
    from hybridal_ray.config_values import plain
    from hybridal_ray.evaluation.detecting import DetectionSettings

    known = sorted(field.name for field in dataclasses.fields(DetectionSettings))
    for field in values:
        if field not in known:
            hint = nearest(field, known) or f", expected one of {', '.join(known)}"
            raise UserError(f"{option} {field}: no such threshold of the section evaluation{hint}")
    try:
        section = EvaluationConfig.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        field = str(problem["loc"][0])
        raise UserError(f"{option} {field}={values[field]}: {problem['msg']}") from error
    return plain(DetectionSettings, section)


def _lines(told: dict[str, Any], folder: str | None) -> list[str]:
    """What came of it, for a person: a line a fact, and one for each video that failed."""
    lines = [f"{name}: {told[name]}" for name in told if name not in ("failed", "rendered")]
    lines += [f"failed: {video_id}: {reason}" for video_id, reason in told["failed"].items()]
    return lines + ([] if folder is None else [f"rendered: {len(told['rendered'])} videos in {folder}"])


def _videos(pool: Pool | None, split: str, files: list[Path]) -> tuple[list[Video], dict[str, float]]:
    """The videos to detect on, and the frame rate of each."""
    from hybridal_ray.pool.decoding import UnreadableVideo, probe
    from hybridal_ray.pool.table_checks import check_split

    check_split(split)
    videos = [] if pool is None else pool.usable_videos(split)
    if pool is not None and not videos:
        raise UserError(f"{pool.root}/videos.parquet: no video of split {split!r} has status 'ok'")
    rows = [] if pool is None else pool.videos.select(["video_id", "fps"]).to_pylist()
    rates = {row["video_id"]: row["fps"] for row in rows}
    for file in files:
        try:
            facts = probe(str(file.absolute()))
        except UnreadableVideo as error:
            raise UserError(str(error)) from error
        if file.name in rates:
            raise UserError(f"--video {file}: a video named {file.name!r} is there already, expected each name once")
        videos.append(
            Video(file.name, str(file.absolute()), split, file.name, facts.num_frames, facts.width, facts.height)
        )
        rates[file.name] = facts.fps
    if not videos:
        raise UserError("nothing to detect on: expected --pool, --video or both")
    return videos, rates


def _render(
    videos: list[Video],
    rates: dict[str, float],
    pool: Pool | None,
    checkpoint: str,
    predictions: str,
    folder: str,
    min_score: float,
) -> list[str]:
    from hybridal_ray.detectors.checkpoint import load_detector
    from hybridal_ray.evaluation.rendering import render_video
    from hybridal_ray.pool import storage, table_files
    from hybridal_ray.pool.decoding import UnreadableVideo

    table = table_files.read_table(predictions)
    number = load_detector(checkpoint).spec.num_classes
    classes = pool.classes if pool is not None else tuple(f"class {class_id}" for class_id in range(number))
    rendered = []
    for video in videos:
        location = storage.join(folder, f"{video.video_id.replace('/', '-')}.mp4")
        try:
            render_video(video, table, classes, location, fps=rates[video.video_id], min_score=min_score)
        except UnreadableVideo as error:
            print(f"{video.video_id} is not drawn: {error}", file=sys.stderr)
        else:
            rendered.append(location)
    return rendered
