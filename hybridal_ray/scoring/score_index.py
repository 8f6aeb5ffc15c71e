"""A list of finished scorings, so that the same detector is not run twice over the same pool with the same masks.

What must be unchanged: the bytes of the checkpoint; the videos by id, location and number of frames; the labelled
frames; every setting of scoring; seed and round, of which the dropout masks are drawn; the kind of device; the
versions of torch and of this package. Files of videos are not looked into: one that was overwritten in place with as
many frames passes for unchanged.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

import hybridal_ray
from hybridal_ray.chunk_plan import PLAN_FILE
from hybridal_ray.detectors.checkpoint import SPEC_FILE, WEIGHTS_FILE
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Video

KEY_FILE = "scoring_key.json"  # beside the parts


def scoring_key(
    checkpoint_dir: str, videos: Iterable[Video], labelled: Mapping[str, Sequence[int]], settings: Mapping[str, Any]
) -> str:
    """A hash over all that decides the scores; see the module's docstring.

    Args:
        checkpoint_dir: Written by `save_detector`.
        videos: The pool or the part of it that is scored, in the order of the pool.
        labelled: Labelled frames by video id.
        settings: All else, as plain values and dataclasses of them.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    plain = {
        name: dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
        for name, value in settings.items()
    }
    versions = [torch.__version__, hybridal_ray.__version__]
    _add(digest, [versions, plain, sorted((video_id, list(frames)) for video_id, frames in labelled.items())])
    for name in (SPEC_FILE, WEIGHTS_FILE):
        digest.update(hashlib.blake2b(storage.read_bytes(storage.join(checkpoint_dir, name))).digest())
    for video in videos:
        _add(digest, [video.video_id, video.uri, video.num_frames])
    return digest.hexdigest()


class ScoreIndex:
    """Where finished scorings lie, by key.

    Args:
        location: Directory or URI; gets one small file a scoring.
    """

    def __init__(self, location: str) -> None:
        self._location = location

    def fetch(self, key: str, out_dir: str) -> bool:
        """Copies the parts of a finished scoring to where the pass will look for them.

        A copy that was cut off is gone on with, or the pass does what is missing.

        Args:
            key: From `scoring_key`.
            out_dir: Of the pass.

        Returns:
            Whether there was one, and it is where it was: a run that was begun anew in the same place has others.
        """
        entry = storage.join(self._location, f"{key}.json")
        if not storage.exists(entry):
            return False
        source = storage.read_json(entry)["scores"]
        plan, own_plan = storage.join(source, PLAN_FILE), storage.join(out_dir, PLAN_FILE)
        if source == out_dir or not storage.exists(plan) or _key_of(source) != key:
            return False
        if not storage.exists(own_plan):  # first, for it says in which portions the parts are
            storage.write_bytes(own_plan, storage.read_bytes(plan))
        elif storage.read_bytes(own_plan) != storage.read_bytes(plan):
            return False
        for part in storage.list_files(source, suffix=".parquet"):
            own = storage.join(out_dir, part.rpartition("/")[2])
            if not storage.exists(own):
                storage.write_bytes(own, storage.read_bytes(part))
        return True

    def enter(self, key: str, out_dir: str) -> None:
        """Notes where a finished scoring lies, in place of an earlier one with the same key, and there its key."""
        storage.write_json(storage.join(out_dir, KEY_FILE), {"key": key})
        storage.write_json(storage.join(self._location, f"{key}.json"), {"scores": out_dir})


def _key_of(out_dir: str) -> str | None:
    """The key of the scoring that lies there, None where none was noted."""
    location = storage.join(out_dir, KEY_FILE)
    key: str | None = storage.read_json(location)["key"] if storage.exists(location) else None
    return key


def _add(digest: "hashlib.blake2b", content: Any) -> None:
    digest.update(json.dumps(content, sort_keys=True).encode() + b"\n")
