"""What is wrong with a pool, told from one careful look at each of its videos and from its tables."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.pool.inspection import Inspection
from hybridal_ray.pool.tables import Pool

SAME_BITS = 6  # of 64 that may differ between the hashes of pictures that look alike
SAME_PICTURES = 4  # of 5 that must look alike in near-duplicates
PLAIN_BITS = 6  # a hash with fewer bits set, or unset, is of a picture without content
PAIRS_AT_ONCE = 1 << 21

# In the order of the summary. Those above the line make a video unusable as the pool stands.
UNUSABLE = {
    "missing": "the file is not there",
    "unreadable": "not one frame decodes",
    "fewer frames": "the pool tells of more frames than decode",
    "other size": "frames are not of the size that the pool tells",
    "set aside": "decodes, but was set aside when the pool was made; ingest again if that was mended",
}
TOLD = {
    "truncated": "breaks off; the frames before the break are used",
    "boxes outside": "boxes reach beyond the picture",
    "tubes outside": "boxes on frames that the video does not have",
    "duplicate": "the same pixels as another video",
    "near-duplicate": "looks like a video on the other side of the split",
    "variable rate": "frames are not equally long on screen",
    "rotated": "frames are turned as the container asks",
}


@dataclass(frozen=True)
class Finding:
    """One thing to know of a video.

    Attributes:
        video_id: Which.
        kind: A key of `UNUSABLE` or `TOLD`.
        detail: In numbers.
    """

    video_id: str
    kind: str
    detail: str

    @property
    def unusable(self) -> bool:
        """Whether the video cannot be used as the pool stands."""
        return self.kind in UNUSABLE


def find_faults(pool: Pool, seen: Mapping[str, Inspection], failed: Mapping[str, str]) -> list[Finding]:
    """All findings, by kind and video.

    Args:
        pool: Which was looked at.
        seen: What the look found, by video.
        failed: Why nothing could be found, by video.
    """
    findings = [Finding(v, "missing" if "no such file" in why else "unreadable", why) for v, why in failed.items()]
    for row in pool.videos.to_pylist():
        if row["video_id"] in seen:
            findings += _of_video(row, seen[row["video_id"]])
    findings += _of_boxes(pool, seen)
    findings += _duplicates(seen)
    findings += _near_duplicates(pool, seen)
    order = [*UNUSABLE, *TOLD]
    return sorted(findings, key=lambda finding: (order.index(finding.kind), finding.video_id, finding.detail))


def _of_video(row: Mapping[str, object], found: Inspection) -> list[Finding]:
    facts, video_id = found.facts, str(row["video_id"])
    findings = []
    if row["status"] == "ok":
        if facts.num_frames < int(str(row["num_frames"])):
            detail = f"{facts.num_frames} frames decode, the pool tells of {row['num_frames']}"
            findings.append(Finding(video_id, "fewer frames", detail))
        if (facts.width, facts.height) != (row["width"], row["height"]):
            detail = f"{facts.width}×{facts.height} pixels, the pool tells of {row['width']}×{row['height']}"
            findings.append(Finding(video_id, "other size", detail))
    elif row["status"] != "missing":  # what was not there may be there by now
        findings.append(Finding(video_id, "set aside", f"{row['status']}: {row['reason'] or 'no reason is given'}"))
    if found.broke_off is not None:
        stated = f" of {found.stated_frames}" if found.stated_frames else ""
        findings.append(Finding(video_id, "truncated", f"{facts.num_frames}{stated} frames decode: {found.broke_off}"))
    if facts.variable_rate:
        findings.append(Finding(video_id, "variable rate", f"{facts.fps:.3g} frames a second on average"))
    if found.rotation % 360:
        findings.append(Finding(video_id, "rotated", f"by {found.rotation}°"))
    return findings


def _of_boxes(pool: Pool, seen: Mapping[str, Inspection]) -> list[Finding]:
    """Counts boxes beyond the picture and beyond the end, of the videos that were seen."""
    facts = pa.table(
        {
            "video_id": pa.array(list(seen), pa.string()),
            "decoded": pa.array([found.facts.num_frames for found in seen.values()], pa.int32()),
            "wide": pa.array([found.facts.width for found in seen.values()], pa.int32()),
            "high": pa.array([found.facts.height for found in seen.values()], pa.int32()),
        }
    )
    joined = pool.tubes.drop_columns(["mask", "tube_id"]).join(facts, "video_id", join_type="inner")
    field = pc.field
    late = field("frame") >= field("decoded")
    beyond = (field("x1") < 0) | (field("y1") < 0) | (field("x2") > field("wide")) | (field("y2") > field("high"))
    findings = []
    for kind, condition in (("tubes outside", late), ("boxes outside", beyond & ~late)):
        counts = joined.filter(condition).group_by("video_id").aggregate([([], "count_all")])
        findings += [Finding(row["video_id"], kind, f"{row['count_all']} boxes") for row in counts.to_pylist()]
    return findings


def _duplicates(seen: Mapping[str, Inspection]) -> list[Finding]:
    same: defaultdict[str, list[str]] = defaultdict(list)
    for video_id, found in sorted(seen.items()):
        same[found.checksum].append(video_id)
    return [
        Finding(video_id, "duplicate", f"the same pixels as {first}")
        for first, *others in same.values()
        for video_id in others
    ]


def _near_duplicates(pool: Pool, seen: Mapping[str, Inspection]) -> list[Finding]:
    """Videos to train on that look like one to test on; equal ones are among the duplicates."""
    splits = dict(zip(pool.videos["video_id"].to_pylist(), pool.videos["split"].to_pylist(), strict=True))
    sides = [sorted(v for v in seen if (splits[v] == "test") == test) for test in (False, True)]
    if not all(sides):
        return []
    train, test = (_hashes([seen[video_id] for video_id in side]) for side in sides)
    findings = []
    for start in range(0, len(train), step := max(1, PAIRS_AT_ONCE // len(test))):
        alike = _look_alike(train[start : start + step], test)
        for row, column in zip(*np.nonzero(alike), strict=True):
            one, other = sides[0][start + row], sides[1][column]
            if seen[one].checksum != seen[other].checksum:
                findings.append(Finding(one, "near-duplicate", f"looks like {other}, which is to be tested on"))
    return findings


def _hashes(inspections: Sequence[Inspection]) -> npt.NDArray[np.uint64]:
    """(videos, 5)."""
    return np.array([[int(value, 16) for value in found.hashes] for found in inspections], dtype=np.uint64)


def _look_alike(some: npt.NDArray[np.uint64], others: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """(some, others), whether enough of their pictures look alike; pictures without content do not count."""
    alike = np.zeros((len(some), len(others)), dtype=np.int8)
    for picture in range(some.shape[1]):
        one, other = some[:, picture], others[:, picture]
        near = np.bitwise_count(one[:, np.newaxis] ^ other[np.newaxis]) <= SAME_BITS
        alike += near & _has_content(one)[:, np.newaxis] & _has_content(other)[np.newaxis]
    return alike >= SAME_PICTURES


def _has_content(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    bits = np.bitwise_count(hashes)
    return (bits > PLAIN_BITS) & (bits < 64 - PLAIN_BITS)
