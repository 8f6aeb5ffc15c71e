"""Exporter to AVA's csv: video, second, box in [0, 1], action, person."""

import csv
import io

from hybridal_ray.pool import storage
from hybridal_ray.pool.exports.exporting import Exported, labelled_videos, needs_rate, needs_size
from hybridal_ray.pool.tables import Pool

MAP_SUFFIX = ".label_map.pbtxt"


def export_ava(pool: Pool, out: str, split: str | None = None) -> Exported:
    """Writes a csv file, and the names of the actions beside it (``<out>.label_map.pbtxt``).

    Action ids are class ids plus 1. A labelled frame without an actor is a row of video and second alone. The format
    knows no masks, and coordinates outside the picture are cut off at its edges.

    Args:
        pool: Whose labels.
        out: The csv file.
        split: Only of these videos; None for all.

    Returns:
        What was written, which is no mask.

    Raises:
        UserError: There are no labels, or a video states no frame rate or size.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    num_videos, masks = 0, 0
    for video in labelled_videos(pool, split):
        needs_rate(video)
        needs_size(video)
        masks += video.num_masks
        num_videos += 1
        scale = (video.width, video.height, video.width, video.height)
        with_box = [frame for tube in video.tubes for frame in tube.frames.tolist()]
        rows = [(frame, "", ["", "", "", "", "", ""]) for frame in set(video.labelled.tolist()).difference(with_box)]
        for tube in video.tubes:
            for frame, box in zip(tube.frames.tolist(), tube.boxes.tolist(), strict=True):
                parts = [repr(min(1.0, max(0.0, edge / size))) for edge, size in zip(box, scale, strict=True)]
                rows.append((frame, tube.tube_id, [*parts, str(tube.class_id + 1), tube.tube_id]))
        writer.writerows([video.video_id, repr(frame / video.fps), *fields] for frame, _, fields in sorted(rows))
    quoted = [name.replace("\\", "\\\\").replace('"', '\\"') for name in pool.classes]
    names = "".join(f'item {{\n  name: "{name}"\n  id: {number}\n}}\n' for number, name in enumerate(quoted, 1))
    storage.write_bytes(out, lines.getvalue().encode())
    storage.write_bytes(out + MAP_SUFFIX, names.encode())
    return Exported(num_videos, masks)


def files_of_ava(pool: Pool, out: str, split: str | None = None) -> list[str]:
    """The files that `export_ava` writes."""
    return [out, out + MAP_SUFFIX]
