"""``hybridal ingest …``: a data set on disk or in an object store becomes a pool."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hybridal_ray.commands.telling import progress_bar, tell_pool
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.formats.annotations import Annotations
from hybridal_ray.pool.formats.assembling import SECONDS_PER_VIDEO
from hybridal_ray.pool.tables import Pool

TOLD = 3

ingest = typer.Typer(no_args_is_help=True, help="Make a pool of videos and labels in a format of the field.")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Out = Annotated[str, typer.Option(help="Directory or URI of the new pool.")]
Videos = Annotated[
    str | None,
    typer.Option(help="Folder or URI of the videos, or of a folder of images a video; without it all are missing."),
]
Name = Annotated[str | None, typer.Option(help="Name of the pool; the name of its directory if not given.")]
Fps = Annotated[float | None, typer.Option(min=0.01, help="Frame rate of videos that state none, as images do.")]
Seconds = Annotated[
    float, typer.Option(min=1, help="After which a video counts as unreadable; more for videos of many hours.")
]
Split = Annotated[str, typer.Option(help="train, val or test: of all videos of the file.")]
LabelFiles = Annotated[str, typer.Option(help="The annotation file, or a folder of them.")]


@ingest.command("jhmdb-21")
def jhmdb_21(
    videos: Annotated[Path, typer.Option(help="Folder of <class>/<clip>.avi.")],
    masks: Annotated[Path, typer.Option(help="Folder of <class>/<clip>.mat.")],
    groups: Annotated[Path, typer.Option(help="JSON: the clips cut from each source video.")],
    out: Out,
    test_fraction: Annotated[float, typer.Option(min=0.05, max=0.95, help="Share of the clips to test on.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Of the split by source.")] = 0,
    official_splits: Annotated[
        Path | None, typer.Option(help="Folder of <class>_test_split<n>.txt, instead of a split by source.")
    ] = None,
    split: Annotated[int, typer.Option(min=1, max=3, help="Which of the official splits.")] = 1,
    as_json: AsJson = False,
) -> None:
    """J-HMDB-21: clips of 21 actions with one actor's mask on every frame."""
    from hybridal_ray.pool.formats.jhmdb_21 import ingest_jhmdb_21

    with progress_bar("reading clips") as progress:
        pool = ingest_jhmdb_21(
            videos.absolute(),
            masks.absolute(),
            groups.absolute(),
            absolute(out),
            test_fraction=test_fraction,
            seed=seed,
            official=official_splits and official_splits.absolute(),
            split=split,
            progress=progress,
        )
    tell_pool(pool, as_json, _unusable(pool))


@ingest.command("ucf101-24")
def ucf101_24(
    annotations: Annotated[str, typer.Option(help="pyannot.pkl or finalAnnots.mat.")],
    test_list: Annotated[str, typer.Option(help="The test videos, <Class>/<video> a line, as in testlist01.txt.")],
    out: Out,
    videos: Videos = None,
    seconds_per_video: Seconds = SECONDS_PER_VIDEO,
    as_json: AsJson = False,
) -> None:
    """UCF101-24: sports clips of 24 actions; videos of 320×240, or coded again in another size."""
    from hybridal_ray.pool.formats.ucf101_24 import read_ucf101_24

    _make(
        read_ucf101_24(annotations, test_list), annotations, videos, out, "ucf101_24", 25.0, seconds_per_video, as_json
    )


@ingest.command("act")
def act(
    annotations: Annotated[str, typer.Option(help="UCF101v2-GT.pkl, JHMDB-GT.pkl, a MultiSports GT, or another.")],
    out: Out,
    videos: Videos = None,
    split: Annotated[int, typer.Option(min=1, help="Which of its splits.")] = 1,
    first_frame: Annotated[int | None, typer.Option(min=0, max=1, help="Number of the first frame.")] = None,
    fps: Fps = None,
    name: Name = None,
    seconds_per_video: Seconds = SECONDS_PER_VIDEO,
    as_json: AsJson = False,
) -> None:
    """The ground-truth pickle of ACT, MOC and MultiSports."""
    from hybridal_ray.pool.formats.act import read_act

    found = read_act(annotations, split=split, first_frame=first_frame)
    _make(found, annotations, videos, out, name, fps, seconds_per_video, as_json)


@ingest.command("ava")
def ava(
    out: Out,
    train: Annotated[str | None, typer.Option(help="csv of the training videos.")] = None,
    val: Annotated[str | None, typer.Option(help="csv of the validation videos.")] = None,
    test: Annotated[str | None, typer.Option(help="csv of the test videos.")] = None,
    label_map: Annotated[str | None, typer.Option(help="Names of the actions: pbtxt, or csv of id and name.")] = None,
    excluded: Annotated[list[str] | None, typer.Option(help="csv of timestamps that do not count.")] = None,
    starts_at: Annotated[float, typer.Option(help="The second of the first frame: 900 for clips of AVA.")] = 0.0,
    videos: Videos = None,
    fps: Fps = None,
    name: Name = None,
    seconds_per_video: Seconds = SECONDS_PER_VIDEO,
    as_json: AsJson = False,
) -> None:
    """AVA: boxes with several actions each, on one frame a second."""
    from hybridal_ray.pool.formats.ava import Clock, read_ava

    splits = _splits(train, val, test)
    found = read_ava(splits, label_map=label_map, excluded=excluded or (), clock=Clock("seconds", starts_at))
    _make(found, next(iter(splits.values())), videos, out, name, fps, seconds_per_video, as_json)


@ingest.command("multisports")
def multisports(
    out: Out,
    train: Annotated[str | None, typer.Option(help="csv of the training videos.")] = None,
    val: Annotated[str | None, typer.Option(help="csv of the validation videos.")] = None,
    test: Annotated[str | None, typer.Option(help="csv of the test videos.")] = None,
    label_map: Annotated[str | None, typer.Option(help="Names of the actions: pbtxt, or csv of id and name.")] = None,
    first_frame: Annotated[int, typer.Option(min=0, max=1, help="Number of the first frame.")] = 1,
    videos: Videos = None,
    name: Name = None,
    seconds_per_video: Seconds = SECONDS_PER_VIDEO,
    as_json: AsJson = False,
) -> None:
    """MultiSports' csv: AVA's columns with frame numbers in place of seconds (its pickle: `hybridal ingest act`)."""
    from hybridal_ray.pool.formats.ava import Clock, read_ava

    splits = _splits(train, val, test)
    found = read_ava(splits, label_map=label_map, clock=Clock("frames", first_frame))
    _make(found, next(iter(splits.values())), videos, out, name, None, seconds_per_video, as_json)


@ingest.command("cvat")
def cvat(
    annotations: LabelFiles,
    out: Out,
    videos: Videos = None,
    split: Split = "train",
    class_attribute: Annotated[
        str | None, typer.Option(help="The attribute that names the action, where the label does not.")
    ] = None,
    interpolate: Annotated[str, typer.Option(help="auto, always or never: boxes between keyframes.")] = "auto",
    fps: Fps = None,
    name: Name = None,
    seconds_per_video: Seconds = SECONDS_PER_VIDEO,
    as_json: AsJson = False,
) -> None:
    """CVAT for video 1.1: boxes and masks, one XML file a task."""
    from hybridal_ray.pool.formats.cvat import read_cvat

    found = read_cvat(annotations, split=split, class_attribute=class_attribute, interpolate=interpolate)
    _make(found, annotations, videos, out, name, fps, seconds_per_video, as_json)


@ingest.command("label-studio")
def label_studio(
    annotations: LabelFiles,
    out: Out,
    videos: Videos = None,
    split: Split = "train",
    frame_rate: Annotated[
        float | None, typer.Option(min=0.01, help="Of the labelling configuration, where the file does not tell it.")
    ] = None,
    labelled: Annotated[str, typer.Option(help="all: a labelled video was looked at throughout; or boxes.")] = "all",
    fps: Fps = None,
    name: Name = None,
    seconds_per_video: Seconds = SECONDS_PER_VIDEO,
    as_json: AsJson = False,
) -> None:
    """Label Studio: the JSON export of video tracking."""
    from hybridal_ray.pool.formats.label_studio import read_label_studio

    found = read_label_studio(annotations, split=split, frame_rate=frame_rate, labelled=labelled)
    _make(found, annotations, videos, out, name, fps, seconds_per_video, as_json)


@ingest.command("videos")
def plain_videos(
    videos: Annotated[str, typer.Option(help="Folder or URI, searched at any depth.")],
    classes: Annotated[str, typer.Option(help="The actions that will be labelled, with commas between them.")],
    out: Out,
    test_fraction: Annotated[float, typer.Option(min=0, max=0.95, help="Share of the sources to test on.")] = 0.0,
    group_by_folder: Annotated[bool, typer.Option(help="Videos of one folder come from one source.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    fps: Fps = None,
    name: Name = None,
    seconds_per_video: Seconds = SECONDS_PER_VIDEO,
    as_json: AsJson = False,
) -> None:
    """A folder of videos without labels, the usual start; folders of images count as videos."""
    from hybridal_ray.pool.formats.media import MediaFolder
    from hybridal_ray.pool.formats.plain_videos import list_videos

    names = [part.strip() for part in classes.split(",") if part.strip()]
    found = list_videos(
        MediaFolder(absolute(videos)), names, test_fraction=test_fraction, group_by_folder=group_by_folder, seed=seed
    )
    _make(found, videos, videos, out, name, fps, seconds_per_video, as_json)


@ingest.command("frames")
def frames(
    frames: Annotated[str, typer.Option(help="Folder or URI that holds a folder of images for each video.")],
    fps: Annotated[float, typer.Option(min=0.01, help="Frame rate that the images were taken at.")],
    out: Out,
    labels: Annotated[str | None, typer.Option(help="Format of the labels: act, cvat or label-studio.")] = None,
    annotations: Annotated[str | None, typer.Option(help="Their file; none for a start without labels.")] = None,
    classes: Annotated[str, typer.Option(help="Without labels: the actions that will be labelled.")] = "",
    name: Name = None,
    seconds_per_video: Seconds = SECONDS_PER_VIDEO,
    as_json: AsJson = False,
) -> None:
    """Folders of images, one a video, with labels of any format: every other command takes them as --videos too."""
    if labels is None:
        plain_videos(frames, classes, out, fps=fps, name=name, seconds_per_video=seconds_per_video, as_json=as_json)
        return
    if annotations is None or labels not in ("act", "cvat", "label-studio"):
        raise UserError(f"--labels: found {labels!r}, expected act, cvat or label-studio, and --annotations with it")
    commands: dict[str, Callable[..., None]] = {"act": act, "cvat": cvat, "label-studio": label_studio}
    commands[labels](
        annotations, out, videos=frames, fps=fps, name=name, seconds_per_video=seconds_per_video, as_json=as_json
    )


def _unusable(pool: Pool) -> list[str]:
    """A sentence for the videos of each status but ``ok``, and why the first of them are of it."""
    notes = []
    rows = pool.videos.select(["video_id", "status", "reason"]).to_pylist()
    for status in ("missing", "unreadable"):
        found = [f"{row['video_id']} ({row['reason']})" for row in rows if row["status"] == status]
        if found:
            told = ", ".join(found[:TOLD]) + (", …" if len(found) > TOLD else "")
            notes.append(f"{len(found)} of {len(rows)} videos are {status}: {told}")
    return notes


def _splits(train: str | None, val: str | None, test: str | None) -> dict[str, str]:
    splits = {split: file for split, file in (("train", train), ("val", val), ("test", test)) if file is not None}
    if not splits:
        raise UserError("expected a csv file, as --train, --val or --test")
    return splits


def absolute(location: str) -> str:
    """A path that holds wherever it is read; a URI as it is."""
    return location if storage.is_uri(location) else str(Path(location).absolute())


def _make(
    annotations: Annotations,
    source: str,
    videos: str | None,
    out: str,
    name: str | None,
    fps: float | None,
    seconds_per_video: float,
    as_json: bool,
) -> None:
    from hybridal_ray.pool.formats.assembling import assemble_pool
    from hybridal_ray.pool.formats.media import MediaFolder

    root = absolute(out)
    media = MediaFolder(None if videos is None else absolute(videos))
    with progress_bar("decoding videos") as progress:
        made = assemble_pool(
            annotations,
            media,
            source,
            root,
            name=name or root.rstrip("/").rpartition("/")[2],
            fps=fps,
            seconds_per_video=seconds_per_video,
            progress=progress,
        )
    tell_pool(made.pool, as_json, made.notes)
