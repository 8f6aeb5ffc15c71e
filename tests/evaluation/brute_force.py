"""The convention ``strict`` written a second time, as loops over dictionaries: the oracle of the metrics."""


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union > 0 else 0.0


def tube_iou(a, b):
    common = [frame for frame in a if frame in b]
    if not common:
        return 0.0
    temporal = len(common) / len(set(a) | set(b))
    return temporal * sum(iou(a[frame], b[frame]) for frame in common) / len(common)


def area_under_envelope(hits, num_truth):
    """Sums, for every ground truth found, the best precision at that recall or a higher one."""
    precisions = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
    return sum(max(precisions[n:]) for n, hit in enumerate(hits) if hit) / num_truth


def average_precision(detections, truths, overlap, threshold):
    """Detections and truths are (place, payload) pairs, detections in rank order."""
    left = list(truths)
    hits = []
    for place, payload in detections:
        best, best_overlap = None, 0.0
        for candidate in left:
            if candidate[0] == place:
                value = overlap(payload, candidate[1])
                if value > best_overlap:
                    best, best_overlap = candidate, value
        hit = best is not None and best_overlap >= threshold
        if hit:
            left.remove(best)
        hits.append(hit)
    return area_under_envelope(hits, len(truths))


def frame_ap(predictions, truth, class_id, threshold):
    rows = [row for row in predictions if row["class_id"] == class_id]
    rows.sort(key=lambda row: (-row["score"], row["video_id"], row["frame"], row["tube_id"]))
    truths = sorted((row for row in truth if row["class_id"] == class_id), key=lambda row: row["tube_id"])
    return average_precision(
        [((row["video_id"], row["frame"]), box_of(row)) for row in rows],
        [((row["video_id"], row["frame"]), box_of(row)) for row in truths],
        iou,
        threshold,
    )


def video_ap(predictions, truth, class_id, threshold):
    def tubes(rows):
        gathered = {}
        for row in rows:
            if row["class_id"] == class_id:
                gathered.setdefault((row["video_id"], row["tube_id"]), {})[row["frame"]] = row
        return gathered

    def rank(item):
        (video_id, tube_id), rows = item
        return (-max(row["tube_score"] for row in rows.values()), video_id, min(rows), tube_id)

    def shapes(items):
        return [(key[0], {frame: box_of(row) for frame, row in rows.items()}) for key, rows in items]

    detections = shapes(sorted(tubes(predictions).items(), key=rank))
    return average_precision(detections, shapes(sorted(tubes(truth).items())), tube_iou, threshold)


def mean_over_classes(metric, predictions, truth, threshold):
    present = sorted({row["class_id"] for row in truth})
    return sum(metric(predictions, truth, class_id, threshold) for class_id in present) / len(present)


def box_of(row):
    return row["x1"], row["y1"], row["x2"], row["y2"]
