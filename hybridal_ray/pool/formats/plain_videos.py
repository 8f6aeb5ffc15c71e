"""Importer of a plain folder of videos or of folders of images: no labels at all, the usual start."""

from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from hybridal_ray.errors import UserError
from hybridal_ray.pool.formats.annotations import AnnotatedVideo, Annotations
from hybridal_ray.pool.formats.media import MediaFolder


def list_videos(
    media: MediaFolder,
    classes: Sequence[str],
    *,
    test_fraction: float = 0.0,
    group_by_folder: bool = False,
    seed: int = 0,
) -> Annotations:
    """The videos of a folder, to be labelled.

    Args:
        media: The folder.
        classes: What will be labelled in them, at least one.
        test_fraction: Share of the videos, by source, that is set apart to test on.
        group_by_folder: Videos of one folder come from one source, and are never on both sides of the split.
        seed: Of the split.

    Raises:
        UserError: There is no video, or no class.
    """
    if not media.names:
        raise UserError(f"{media.location}: holds no video and no folder of images")
    if not classes or len(set(classes)) < len(classes):
        raise UserError(f"--classes: found {','.join(classes)!r}, expected the names of the actions, each once")
    if not 0 <= test_fraction < 1:
        raise UserError(f"--test-fraction: found {test_fraction}, expected a share from 0 to below 1")
    group = partial(_group, by_folder=group_by_folder)
    groups = sorted({group(name) for name in media.names})
    order = np.random.default_rng(seed).permutation(len(groups))
    held_out = {groups[index] for index in order[: round(test_fraction * len(groups))]}
    videos = [
        AnnotatedVideo(name, "test" if group(name) in held_out else "train", group=group(name)) for name in media.names
    ]
    return Annotations(tuple(classes), videos)


def _group(name: str, *, by_folder: bool) -> str:
    folder = str(PurePosixPath(name).parent)
    return folder if by_folder and folder != "." else name
