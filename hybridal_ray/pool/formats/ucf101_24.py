"""Importer of UCF101-24: untrimmed sports clips of 24 actions, tubes over part of many of them.

Annotations are the corrected ones, as ``pyannot.pkl`` or ``finalAnnots.mat``. Reference: Singh et al., "Online
Real-time Multiple Spatiotemporal Action Localisation and Prediction", ICCV 2017.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import scipy.io

from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.annotations import AnnotatedVideo, Annotations, Tube, VideoLabels
from hybridal_ray.pool.formats.media import without_suffix
from hybridal_ray.pool.untrusted import MAX_ARRAY_BYTES, read_bounded, read_text, unpickle

# Boxes are in pixels of this picture, whatever size the videos were coded in again.
WIDTH, HEIGHT = 320, 240
FPS = 25.0
_SOURCE = re.compile(r"_(g\d+)_c\d+$")

# (class id, first frame, (N, 4) x, y, w, h)
RawTube = tuple[int, int, np.ndarray]


def read_ucf101_24(annotations: str, test_list: str) -> Annotations:
    """Reads the annotations and the split.

    Classes are the folder names, ordered by the class numbers of the annotations. Every frame of an annotated video
    counts as labelled: outside its tubes, a video is known to be empty of its action.

    Args:
        annotations: ``pyannot.pkl`` or ``finalAnnots.mat``.
        test_list: Names of the test videos, ``<Class>/<video>`` a line; all others are for training.

    Raises:
        UserError: A file is absent, hostile or malformed, or the list names no video, or one without annotations.
    """
    videos = _from_mat(annotations) if annotations.endswith(".mat") else _from_pickle(annotations)
    tests = _read_list(test_list)
    if not tests:
        raise UserError(f"{test_list}: names no video, expected the test videos, <Class>/<video> a line")
    if strangers := sorted(tests - videos.keys()):
        raise UserError(
            f"{test_list}: {len(strangers)} videos, such as {strangers[0]!r}, are not annotated in {annotations}"
        )
    numbers = {name: tube[0] for name, (_, tubes) in videos.items() for tube in tubes}
    by_number = {number: name.partition("/")[0] for name, number in sorted(numbers.items())}
    ids = {number: class_id for class_id, number in enumerate(sorted(by_number))}
    return Annotations(
        tuple(by_number[number] for number in sorted(by_number)),
        [
            AnnotatedVideo(
                video_id=name,
                split="test" if name in tests else "train",
                labels=partial(_labels, tubes=tubes, ids=ids),
                group=f"{name.partition('/')[0]}_{source.group(1)}" if (source := _SOURCE.search(name)) else name,
                claimed=VideoFacts(num_frames, FPS, WIDTH, HEIGHT),
            )
            for name, (num_frames, tubes) in videos.items()
        ],
    )


def _labels(facts: VideoFacts, *, tubes: Sequence[RawTube], ids: Mapping[int, int]) -> VideoLabels:
    scale = np.array([facts.width / WIDTH, facts.height / HEIGHT] * 2)
    made = []
    for number, (class_number, first, xywh) in enumerate(tubes):
        boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1) * scale
        frames = np.arange(first, first + len(boxes), dtype=np.int64)
        made.append(Tube(str(number), ids[class_number], frames, boxes))
    return VideoLabels(made, np.arange(facts.num_frames, dtype=np.int64))


def _from_pickle(location: str) -> dict[str, tuple[int, list[RawTube]]]:
    content = unpickle(location)
    if not isinstance(content, dict) or not content:
        raise UserError(f"{location}: found a {type(content).__name__}, expected an object of '<Class>/<video>' keys")
    videos = {}
    for name, entry in content.items():
        try:
            tubes = [_raw_tube(t["label"], t["sf"], t["ef"], t["boxes"]) for t in entry["annotations"]]
            videos[str(name)] = (int(entry["numf"]), tubes)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{location}: {name!r}: {type(error).__name__}: {error}") from error
    return videos


def _raw_tube(class_number: Any, first: Any, end: Any, boxes: Any) -> RawTube:
    """A tube whose frames are from 0, its end exclusive; boxes are cast first: uint8 x + w overflows."""
    xywh = np.asarray(boxes).astype(np.float64)
    if xywh.ndim != 2 or xywh.shape[1] != 4 or len(xywh) != int(end) - int(first):
        raise ValueError(f"boxes of shape {xywh.shape} for frames {first} to {end}, expected (ef − sf, 4)")
    return int(class_number), int(first), xywh


def _from_mat(location: str) -> dict[str, tuple[int, list[RawTube]]]:
    """``annot``: a row of structs ``name``, ``num_imgs`` (or ``numf``) and ``tubes``, frames counted from 1."""
    read_bounded(location)
    try:
        shapes = {name: shape for name, shape, _ in scipy.io.whosmat(location)}
        if int(np.prod(shapes.get("annot", (0,)), dtype=float)) * 8 > MAX_ARRAY_BYTES:
            raise UserError(f"{location}: claims an annot of shape {shapes['annot']}")
        annot = scipy.io.loadmat(location, variable_names=["annot"], squeeze_me=False, struct_as_record=True)["annot"]
    except UserError:
        raise
    except Exception as error:  # scipy raises whatever its parser stumbles over
        raise UserError(f"{location}: not a readable MATLAB file with annot: {error}") from error
    videos = {}
    for entry in annot.ravel():
        name = without_suffix(str(np.asarray(entry["name"]).ravel()[0]))
        try:
            frames = entry["num_imgs"] if "num_imgs" in annot.dtype.names else entry["numf"]
            tubes = [_mat_tube(tube) for tube in np.asarray(entry["tubes"]).ravel()]
            videos[name] = (int(np.asarray(frames).ravel()[0]), tubes)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(f"{location}: {name!r}: {type(error).__name__}: {error}") from error
    return videos


def _mat_tube(tube: Any) -> RawTube:
    """A tube of the MATLAB file: from 1 and inclusive, unless the number of its boxes says from 0 and exclusive."""
    first, last, number = (int(np.asarray(tube[field]).ravel()[0]) for field in ("sf", "ef", "class"))
    exclusive = len(tube["boxes"]) == last - first
    return _raw_tube(number, first if exclusive else first - 1, last, tube["boxes"])


def _read_list(location: str) -> set[str]:
    """Names without their ending; what follows a blank on the line does not count."""
    lines = read_text(location, errors="replace").splitlines()
    return {without_suffix(line.split()[0]) for line in lines if line.strip()}
