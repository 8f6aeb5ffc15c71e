"""Importer of the ground-truth pickle of ACT, MOC and MultiSports: UCF101v2-GT, JHMDB-GT, MultiSports-GT.

Reference: Kalogeiton et al., "Action Tubelet Detector for Spatio-Temporal Action Localization", ICCV 2017.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.annotations import AnnotatedVideo, Annotations, FrameNumbers, Tube, VideoLabels
from hybridal_ray.pool.formats.media import without_suffix
from hybridal_ray.pool.untrusted import read_text, unpickle

NEEDED = {"labels": list, "gttubes": dict, "nframes": dict, "resolution": dict}
LABELLED_KEY = "labelled_frames"  # of our own export: by video, frames counted as in the tubes


def read_act(location: str, *, split: int = 1, first_frame: int | None = None) -> Annotations:
    """Reads a ground-truth pickle.

    Args:
        location: The pickle: ``labels``, ``train_videos`` and ``test_videos`` (a list for each split), ``nframes``,
            ``resolution`` (h, w) and ``gttubes[video][class]``, arrays (N, 5) of frame, x1, y1, x2, y2 in pixels.
        split: Which of the lists of videos, from 1. Videos that are in neither list of the split are left out.
        first_frame: The number of the first frame, 0 or 1; None takes 0 where a tube has a frame 0, else 1.

    Raises:
        UserError: The pickle is absent, hostile or malformed.
    """
    content = unpickle(location)
    _check_parts(content, location)
    classes = tuple(str(name) for name in content["labels"])
    splits = {name: where for where in ("train", "test") for name in _split_list(content, where, split, location)}
    if not splits:
        raise UserError(f"{location}: holds neither train_videos nor test_videos")
    tubes = {name: _tubes(content, name, len(classes), location) for name in splits}
    if first_frame is None:
        first_frame = 0 if any(len(t) and t[:, 0].min() < 1 for ts in tubes.values() for _, t in ts) else 1
    looked_at = _looked_at(content.get(LABELLED_KEY, {}), location)
    return Annotations(
        classes,
        [
            AnnotatedVideo(
                video_id=name,
                split=splits[name],
                labels=partial(
                    _labels, tubes=tubes[name], first=first_frame, claimed=claimed, looked_at=looked_at.get(name)
                ),
                claimed=claimed,
            )
            for name in sorted(splits)
            for claimed in [_claimed(content, name, location)]
        ],
    )


def read_video_order(location: str, split: int = 1) -> list[str]:
    """The test videos in the order of the data set, which is what the numbers in a file of detections count.

    Args:
        location: A ground-truth pickle, or a text file of one video a line.
        split: Of the pickle.

    Raises:
        UserError: It is absent or malformed, or names no video.
    """
    if location.endswith((".pkl", ".pickle")):
        content = unpickle(location)
        if not isinstance(content, dict) or not isinstance(content.get("test_videos"), list):
            raise UserError(f"{location}: expected an object with test_videos")
        names = _split_list(content, "test", split, location)
    else:
        lines = read_text(location, errors="replace").splitlines()
        names = [without_suffix(line.strip()) for line in lines if line.strip()]
    if not names:
        raise UserError(f"{location}: names no test video")
    return names


def _check_parts(content: Any, location: str) -> None:
    if not isinstance(content, dict) or not NEEDED.keys() <= content.keys():
        raise UserError(f"{location}: expected an object of {', '.join(NEEDED)}")
    for key, kind in NEEDED.items():
        if not isinstance(content[key], kind):
            raise UserError(f"{location}: {key} is a {type(content[key]).__name__}, expected a {kind.__name__}")


def _looked_at(frames: Any, location: str) -> dict[str, FrameNumbers]:
    """The labelled frames of each video, as our own export tells them, counted as in the tubes."""
    if not isinstance(frames, dict):
        raise UserError(f"{location}: {LABELLED_KEY} is a {type(frames).__name__}, expected frames by video")
    by_video = {}
    for name, of_video in frames.items():
        try:
            by_video[name] = np.asarray(of_video, dtype=np.int64).reshape(-1)
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{location}: {LABELLED_KEY} of {name!r}: expected numbers of frames: {error}") from error
    return by_video


def _split_list(content: Mapping[str, Any], where: str, split: int, location: str) -> list[str]:
    lists = content.get(f"{where}_videos", [])
    if isinstance(lists, list | tuple) and lists and not isinstance(lists[0], list | tuple):
        lists = [lists]
    if not isinstance(lists, list | tuple) or not all(isinstance(part, list | tuple) for part in lists):
        raise UserError(f"{location}: {where}_videos is {str(lists)[:60]}, expected a list of videos for each split")
    if lists and not 1 <= split <= len(lists):
        raise UserError(f"{location}: holds {len(lists)} splits, split {split} was asked for")
    return [str(name) for name in lists[split - 1]] if lists else []


def _claimed(content: Mapping[str, Any], name: str, location: str) -> VideoFacts:
    try:
        height, width = content["resolution"][name]
        return VideoFacts(int(content["nframes"][name]), 0.0, int(width), int(height))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{location}: nframes or resolution of {name!r}: {type(error).__name__}: {error}") from error


def _tubes(content: Mapping[str, Any], name: str, num_classes: int, location: str) -> list[tuple[int, np.ndarray]]:
    """Class and (N, 5) rows of each tube of a video."""
    tubes = []
    by_class = content["gttubes"].get(name, {})
    if not isinstance(by_class, dict):
        raise UserError(f"{location}: gttubes of {name!r} is a {type(by_class).__name__}, expected tubes by class")
    for class_id in by_class:
        if not isinstance(class_id, int) or not 0 <= class_id < num_classes:
            raise UserError(f"{location}: gttubes of {name!r}: class {class_id!r}, expected 0 to {num_classes - 1}")
    for class_id, of_class in sorted(by_class.items()):
        if not isinstance(of_class, list | tuple | np.ndarray):
            found = type(of_class).__name__
            raise UserError(f"{location}: gttubes of {name!r}: class {class_id} is a {found}, expected a list of tubes")
        for tube in of_class:
            rows = _rows(tube, name, location)
            if rows.ndim != 2 or rows.shape[1] != 5 or rows.dtype.kind not in "fiu":
                raise UserError(f"{location}: gttubes of {name!r}: a tube of shape {rows.shape}, expected (N, 5)")
            if not np.isfinite(rows).all():
                raise UserError(f"{location}: gttubes of {name!r}: a tube holds a number that is not finite")
            tubes.append((class_id, rows.astype(np.float64)))
    return tubes


def _rows(tube: Any, name: str, location: str) -> np.ndarray:
    try:
        return np.asarray(tube)
    except ValueError as error:  # rows of unequal length
        raise UserError(f"{location}: gttubes of {name!r}: a tube is no array (N, 5): {error}") from error


def _labels(
    facts: VideoFacts,
    *,
    tubes: list[tuple[int, np.ndarray]],
    first: int,
    claimed: VideoFacts,
    looked_at: FrameNumbers | None,
) -> VideoLabels:
    """Boxes are scaled where the video was coded again in another size than the annotated one."""
    told = claimed.width > 0 and claimed.height > 0  # else boxes are taken to be in pixels of the video
    scale = np.array([facts.width / claimed.width, facts.height / claimed.height] * 2) if told else np.ones(4)
    made = [
        Tube(str(number), class_id, np.rint(rows[:, 0]).astype(np.int64) - first, rows[:, 1:] * scale)
        for number, (class_id, rows) in enumerate(tubes)
    ]
    frames = np.arange(facts.num_frames, dtype=np.int64) if looked_at is None else looked_at - first
    return VideoLabels(made, frames)
