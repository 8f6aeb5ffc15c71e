"""The videos of a folder, found by the names that annotation files give them."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.containers import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from hybridal_ray.pool.untrusted import inner_path


class MediaFolder:
    """Video files, and folders of images that stand for videos, at any depth of a folder.

    Args:
        location: Path or URI of the folder; None where there are no videos, and every one is missing.

    Attributes:
        location: As given.
        names: Of all videos, relative to the folder and without ending, sorted: ``Biking/v_Biking_g01_c01``.

    Raises:
        UserError: There is no such folder, or two files differ in nothing but their ending.
    """

    def __init__(self, location: str | None) -> None:
        self.location = location
        self._paths: dict[str, str] = {} if location is None else _paths_by_name(location)
        # A folder of images may end like a file, ``v.mp4/0.jpg``: labels name it with that ending or without.
        self._by_stem = {without_suffix(name): name for name in self._paths} | {name: name for name in self._paths}
        self._by_base: defaultdict[str, list[str]] = defaultdict(list)
        for stem, name in self._by_stem.items():
            self._by_base[PurePosixPath(stem).name].append(name)

    @property
    def names(self) -> list[str]:
        """See the class."""
        return sorted(self._paths)

    def uri(self, name: str) -> str:
        """Where a video of `names` lies."""
        assert self.location is not None
        return storage.join(self.location, self._paths[name])

    def find_all(self, named: Sequence[str], source: str) -> list[str | None]:
        """Where the videos lie that an annotation file names, None for each that is not there.

        Args:
            named: Paths below the folder, with or without ending; or, where only one video has that, their last part.
                A file that has one of them for its path is no other's, nor is one that several would take.
            source: The annotation file, for the message.

        Raises:
            UserError: A name leaves the folder.
        """
        paths = [inner_path(name, source) for name in named]
        exact = [self._by_stem.get(path) or self._by_stem.get(without_suffix(path)) for path in paths]
        taken = set(exact)
        by_base = [self._of_last_part(path) if name is None else None for path, name in zip(paths, exact, strict=True)]
        claims = Counter(by_base)
        found = [
            name or (other if other not in taken and claims[other] == 1 else None)
            for name, other in zip(exact, by_base, strict=True)
        ]
        return [None if name is None else self.uri(name) for name in found]

    def _of_last_part(self, path: str) -> str | None:
        for name in (path, without_suffix(path)):
            of_that_name = self._by_base.get(PurePosixPath(name).name, [])
            if len(of_that_name) == 1:
                return of_that_name[0]
        return None


def without_suffix(path: str) -> str:
    """A path without the ending of a video file; other dots belong to the name."""
    base, suffix = os.path.splitext(path)
    return base if suffix.lower() in VIDEO_SUFFIXES else path


def _paths_by_name(location: str) -> dict[str, str]:
    if not storage.is_directory(location):
        raise UserError(f"{location}: no such folder, expected the videos")
    paths: dict[str, str] = {}
    for file in storage.list_tree(location):
        suffix = os.path.splitext(file)[1].lower()
        if suffix in VIDEO_SUFFIXES:
            name, path = without_suffix(file), file
        elif suffix in IMAGE_SUFFIXES and "/" in file:
            name = path = file.rpartition("/")[0]
            path += "/" if storage.is_uri(location) else ""
        else:
            continue
        if paths.setdefault(name, path) != path:
            raise UserError(f"{location}: {paths[name]!r} and {path!r} differ in their ending only; remove one")
    return paths
