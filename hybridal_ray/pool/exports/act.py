"""Exporter to the ground-truth pickle of ACT, MOC and MultiSports, for their evaluation programs."""

import pickle
from collections import defaultdict
from typing import Any

import numpy as np

from hybridal_ray.pool import storage
from hybridal_ray.pool.exports.exporting import Exported, labelled_videos, needs_size
from hybridal_ray.pool.formats.act import LABELLED_KEY
from hybridal_ray.pool.tables import Pool

FIRST_FRAME = 1


def export_act(pool: Pool, out: str, split: str | None = None) -> Exported:
    """Writes one pickle: tubes by class, frames from 1, one split; ``val`` videos are listed with the test videos.

    The format knows no names of tubes, no masks and no multi-label tubes: an actor that does two things is two tubes.
    Which frames were looked at is told in a key of our own, ``labelled_frames``, that other readers pass over.

    Args:
        pool: Whose labels.
        out: The file.
        split: Only of these videos; None for all.

    Returns:
        What was written, which is no mask.

    Raises:
        UserError: There are no labels, a video states no size, or the file cannot be written.
    """
    content: dict[str, Any] = {
        "labels": list(pool.classes),
        "train_videos": [[]],
        "test_videos": [[]],
        "nframes": {},
        "resolution": {},
        "gttubes": {},
        LABELLED_KEY: {},
    }
    masks = 0
    for video in labelled_videos(pool, split):
        needs_size(video)
        masks += video.num_masks
        name = video.video_id
        content["train_videos" if video.split == "train" else "test_videos"][0].append(name)
        content["nframes"][name] = video.num_frames
        content["resolution"][name] = (video.height, video.width)
        by_class: defaultdict[int, list[np.ndarray]] = defaultdict(list)
        for tube in video.tubes:
            rows = np.concatenate([tube.frames[:, np.newaxis] + FIRST_FRAME, tube.boxes], axis=1)
            by_class[tube.class_id].append(rows.astype(np.float32))
        content["gttubes"][name] = dict(by_class)
        content[LABELLED_KEY][name] = video.labelled + FIRST_FRAME
    storage.write_bytes(out, pickle.dumps(content, protocol=2))
    return Exported(len(content["gttubes"]), masks)
