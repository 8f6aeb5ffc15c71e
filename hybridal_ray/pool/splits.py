"""Held-out videos: chosen by source, so that clips of one never lie on both sides, or as official files say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hybridal_ray.errors import UserError


def split_by_source(
    classes: Sequence[str], sources: Sequence[str], test_fraction: float, seed: int
) -> Mapping[str, str]:
    """Assigns whole sources to ``train`` or ``test``, stratified by class.

    Starts with everything in training, then visits the sources in a seeded random order, over and over, and moves
    one to the other side wherever that lowers Σ_c (t_c − `test_fraction`)², t_c being the held-out share of class
    c's clips; a class that lies wholly on one side costs 1 more, which outweighs any such deviation.

    Args:
        classes: Class of each clip.
        sources: Source of each clip; a source may hold clips of several classes.
        test_fraction: Share of each class's clips to hold out, in (0, 1).
        seed: Of the order of visits.

    Returns:
        ``train`` or ``test`` by source. It depends on which clips there are, not on their order.

    Raises:
        UserError: `test_fraction` is out of range, or a class cannot be on both sides.
    """
    if not 0 < test_fraction < 1:
        raise UserError(f"test_fraction: found {test_fraction}, expected a share between 0 and 1")
    class_names, class_ids = np.unique(np.asarray(classes), return_inverse=True)
    source_names, source_ids = np.unique(np.asarray(sources), return_inverse=True)
    counts = np.zeros((len(source_names), len(class_names)))
    np.add.at(counts, (source_ids, class_ids), 1)
    shares = counts / counts.sum(axis=0)  # of each class's clips that each source holds
    held_out = _descend(shares, test_fraction, np.random.default_rng(seed))
    for name, share in zip(class_names.tolist(), shares[held_out].sum(axis=0), strict=True):
        if _is_one_sided(share):
            raise UserError(
                f"class {name!r}: its clips cannot be split between training and test by source; "
                "it needs clips of two sources or more"
            )
    return {str(name): "test" if out else "train" for name, out in zip(source_names, held_out, strict=True)}


def _descend(shares: np.ndarray, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Single moves, (S, C) shares to (S,) bool, until none lowers the cost; ends since each move lowers it."""
    order = generator.permutation(len(shares))
    held_out = np.zeros(len(shares), dtype=bool)
    lowest, moved = _cost(shares, held_out, fraction), True
    while moved:
        moved = False
        for source in order:
            held_out[source] ^= True
            cost = _cost(shares, held_out, fraction)
            if cost < lowest - 1e-12:  # beyond rounding
                lowest, moved = cost, True
            else:
                held_out[source] ^= True
    return held_out


def _cost(shares: np.ndarray, held_out: np.ndarray, fraction: float) -> float:
    test_shares = shares[held_out].sum(axis=0)
    return float(((test_shares - fraction) ** 2 + _is_one_sided(test_shares)).sum())


def _is_one_sided(test_share: np.ndarray) -> np.ndarray:
    return (test_share < 1e-9) | (test_share > 1 - 1e-9)


def read_official_split(folder: Path, number: int) -> Mapping[str, str]:
    """Reads the split files of J-HMDB-21 and HMDB-51, ``<class>_test_split<number>.txt``: a clip and 1 or 2 a line.

    Args:
        folder: Of the files.
        number: Which of the official splits, from 1.

    Returns:
        ``train`` (1) or ``test`` (2) by ``<class>/<clip>.avi``. Clips marked 0 belong to neither, and are left out.

    Raises:
        UserError: There are no such files, or a line is malformed.
    """
    ending = f"_test_split{number}.txt"
    splits: dict[str, str] = {}
    for file in sorted(folder.glob(f"*{ending}")):
        action = file.name.removesuffix(ending)
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            clip, _, mark = line.strip().rpartition(" ")
            if mark not in ("0", "1", "2", ""):
                raise UserError(f"{file}: {line!r}, expected a clip and 1 (training), 2 (test) or 0 (neither)")
            if mark in ("1", "2"):
                splits[f"{action}/{clip.strip()}"] = "train" if mark == "1" else "test"
    if not splits:
        raise UserError(f"{folder}: holds no <class>{ending} with clips in it")
    return splits
