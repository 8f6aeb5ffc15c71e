"""Exporter to Label Studio's video tracking JSON: a list of tasks, ready to be imported there."""

from typing import Any

from hybridal_ray.pool import storage
from hybridal_ray.pool.exports.exporting import Exported, LabelledVideo, labelled_videos, needs_rate, needs_size
from hybridal_ray.pool.formats.annotations import Tube
from hybridal_ray.pool.formats.frame_ranges import KEY, as_text
from hybridal_ray.pool.formats.label_studio_tasks import CLASSES
from hybridal_ray.pool.tables import Pool


def export_label_studio(pool: Pool, out: str, split: str | None = None) -> Exported:
    """Writes one JSON file.

    Every box is a keyframe, on the video's own frame rate: set ``frameRate="…"`` of the ``Video`` tag to it. The last
    box before a gap is not ``enabled``. A tube is a region for each of its classes; its name is in the region's
    ``meta``. The format knows no masks. Which frames were looked at, and all classes in order, are told in the data of
    the task.

    Args:
        pool: Whose labels.
        out: The file.
        split: Only of these videos; None for all.

    Returns:
        What was written, which is no mask.

    Raises:
        UserError: There are no labels, or a video states no frame rate or size.
    """
    tasks, masks = [], 0
    for video in labelled_videos(pool, split):
        needs_rate(video)
        needs_size(video)
        masks += video.num_masks
        regions = [_region(video, number, tube, pool.classes[tube.class_id]) for number, tube in enumerate(video.tubes)]
        data = {
            "video": video.uri,
            "video_id": video.video_id,
            KEY: as_text(video.labelled),
            CLASSES: list(pool.classes),
        }
        tasks.append({"data": data, "annotations": [{"result": regions}]})
    storage.write_json(out, tasks)
    return Exported(len(tasks), masks)


def _region(video: LabelledVideo, number: int, tube: Tube, label: str) -> dict[str, Any]:
    frames = tube.frames.tolist()
    across, down = 100 / video.width, 100 / video.height
    sequence = [
        {
            "frame": frame + 1,
            "enabled": row + 1 < len(frames) and frames[row + 1] == frame + 1,
            "x": x1 * across,
            "y": y1 * down,
            "width": (x2 - x1) * across,
            "height": (y2 - y1) * down,
            "rotation": 0,
            "time": (frame + 1) / video.fps,
        }
        for row, (frame, (x1, y1, x2, y2)) in enumerate(zip(frames, tube.boxes.tolist(), strict=True))
    ]
    return {
        "id": f"region-{number}",
        "type": "videorectangle",
        "from_name": "box",
        "to_name": "video",
        "origin": "manual",
        "meta": {"tube_id": tube.tube_id},
        "value": {"framesCount": video.num_frames, "labels": [label], "sequence": sequence},
    }
