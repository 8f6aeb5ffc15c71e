"""Every convention written a second time, as loops over dictionaries and pixels: the oracle of the metrics."""

import itertools

FRAME_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def iou(a, b, extra=0):
    width = min(a[2], b[2]) - max(a[0], b[0]) + extra
    height = min(a[3], b[3]) - max(a[1], b[1]) + extra
    common = max(width, 0) * max(height, 0)
    union = sum((box[2] - box[0] + extra) * (box[3] - box[1] + extra) for box in (a, b)) - common
    return common / union if union > 0 else 0.0


def iou_plus_one(a, b):
    return iou(a, b, extra=1)


def mean_over_common(a, b, overlap):
    common = [frame for frame in a if frame in b]
    return sum(overlap(a[frame], b[frame]) for frame in common) / len(common) if common else 0.0


def tube_iou(a, b):
    """Frames in common over frames in either."""
    common = [frame for frame in a if frame in b]
    return mean_over_common(a, b, iou) * len(common) / len(set(a) | set(b))


def tube_iou_of_inclusive_spans(a, b):
    shared = min(max(a), max(b)) - max(min(a), min(b)) + 1
    hull = max(*a, *b) - min(*a, *b) + 1
    return mean_over_common(a, b, iou_plus_one) * shared / hull


def tube_iou_of_spans(a, b):
    shared = min(max(a), max(b)) - max(min(a), min(b))
    hull = max(*a, *b) - min(*a, *b)
    return mean_over_common(a, b, iou) * shared / hull if hull else 0.0


def area_under_envelope(hits, num_truth):
    """Sums, for every ground truth found, the best precision at that recall or a higher one."""
    precisions = [sum(hits[: n + 1]) / (n + 1) for n in range(len(hits))]
    return sum(max(precisions[n:]) for n, hit in enumerate(hits) if hit) / num_truth


def area_of_trapezoids(hits, num_truth):
    """Joins the points of precision and recall by straight lines, beginning at precision 1, recall 0."""
    points = [(1.0, 0.0)] + [(sum(hits[: n + 1]) / (n + 1), sum(hits[: n + 1]) / num_truth) for n in range(len(hits))]
    return sum((r2 - r1) * (p1 + p2) / 2 for (p1, r1), (p2, r2) in itertools.pairwise(points))


def best_of_what_is_left(overlaps, taken):
    left = [(value, -n) for n, value in enumerate(overlaps) if n not in taken]
    return -max(left)[1] if left else None


def best_of_all(overlaps, taken):
    """The best; nothing when it is taken. Of equals, one that is left."""
    equals = [n for n, value in enumerate(overlaps) if value == max(overlaps)]
    return next((n for n in equals if n not in taken), None)


# name: overlap of boxes, overlap of tubes, which ground truth, area, value of a class without ground truth
CONVENTIONS = {
    "strict": (iou, tube_iou, best_of_what_is_left, area_under_envelope, None),
    "act": (iou_plus_one, tube_iou_of_inclusive_spans, best_of_what_is_left, area_of_trapezoids, 0.0),
    "multisports": (iou, tube_iou_of_spans, best_of_all, area_under_envelope, None),
    "ava": (iou, None, best_of_all, area_under_envelope, None),
}


def average_precision(detections, truths, overlap, threshold, choose, area):
    """Detections and truths are (place, payload) pairs, detections in rank order."""
    taken, hits = set(), []
    for place, payload in detections:
        rivals = [n for n, truth in enumerate(truths) if truth[0] == place]
        overlaps = [overlap(payload, truths[n][1]) for n in rivals]
        chosen = choose(overlaps, {rivals.index(n) for n in taken if n in rivals}) if rivals else None
        hit = chosen is not None and overlaps[chosen] > threshold - 1e-9
        if hit:
            taken.add(rivals[chosen])
        hits.append(hit)
    return area(hits, len(truths))


def frame_ap(convention, predictions, truth, class_id, threshold):
    overlap, _, choose, area, absent = CONVENTIONS[convention]
    rows = [row for row in predictions if row["class_id"] == class_id]
    rows.sort(key=lambda row: (-row["score"], row["video_id"], row["frame"], row["tube_id"]))
    truths = sorted((row for row in truth if row["class_id"] == class_id), key=lambda row: row["tube_id"])
    if not truths:
        return absent
    places = [
        [((row["video_id"], row["frame"]), box_of(row)) for row in some]
        for some in (rows, truths)
    ]  # fmt: skip
    return average_precision(*places, overlap, threshold, choose, area)


def video_ap(convention, predictions, truth, class_id, threshold):
    _, overlap, choose, area, absent = CONVENTIONS[convention]

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

    truths = shapes(sorted(tubes(truth).items()))
    if not truths:
        return absent
    return average_precision(
        shapes(sorted(tubes(predictions).items(), key=rank)), truths, overlap, threshold, choose, area
    )


def mean_over_classes(metric, convention, predictions, truth, thresholds, num_classes):
    values = [
        [metric(convention, predictions, truth, class_id, threshold) for threshold in thresholds]
        for class_id in range(num_classes)
    ]
    known = [sum(each) / len(each) for each in values if each[0] is not None]
    return sum(known) / len(known)


def pixels(rows):
    """The pixels that some boxes with whole corners cover."""
    return {
        (x, y)
        for row in rows
        for x in range(int(row["x1"]), int(row["x2"]))
        for y in range(int(row["y1"]), int(row["y2"]))
    }


def mask_shares(predictions, truth, num_classes, thresholds, whole_videos):
    """The figures of `capsnet`: shares of frames, or of videos, averaged over classes and thresholds."""
    classes = []
    for class_id in range(num_classes):
        overlaps = []
        for video in {row["video_id"] for row in truth if row["class_id"] == class_id}:
            of_class = [row for row in truth if row["class_id"] == class_id and row["video_id"] == video]
            said = [row for row in predictions if row["video_id"] == video]
            frames = {row["frame"] for row in [*of_class, *(said if whole_videos else [])]}
            masks = [
                (pixels(r for r in of_class if r["frame"] == f), pixels(r for r in said if r["frame"] == f))
                for f in frames
            ]
            if whole_videos:
                masks = [
                    tuple({(f, *p) for f, pair in zip(frames, masks, strict=True) for p in pair[k]} for k in (0, 1))
                ]
            overlaps += [len(a & b) / len(a | b) for a, b in masks]
        if overlaps:
            classes.append([sum(o >= t for o in overlaps) / len(overlaps) for t in thresholds])
    return sum(sum(each) / len(each) for each in classes) / len(classes)


def box_of(row):
    return row["x1"], row["y1"], row["x2"], row["y2"]
