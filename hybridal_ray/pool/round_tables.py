"""The tables in which the stages of a round meet: scores, selection, clusters, predictions.

Stages never import each other; whoever writes or reads one of these takes its schema from here.
"""

import pyarrow as pa

SCORES_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("video_score", pa.float64(), nullable=True),  # mean of the adjusted scores of `frames`
        pa.field("frames", pa.list_(pa.int32()), nullable=True),  # the A frames taken, in the order taken
        pa.field("frame_scores", pa.list_(pa.float64()), nullable=True),  # uncertainty of each, unadjusted
        pa.field("frame_penalties", pa.list_(pa.float64()), nullable=True),  # subtracted from each when taken
        pa.field("latent", pa.list_(pa.float32()), nullable=True),  # (D,)
        pa.field("profile", pa.list_(pa.float32()), nullable=True),  # uncertainty of every frame of the video
        pa.field("empty_frames", pa.int32(), nullable=True),  # frames on which no foreground was predicted
        pa.field("class_scores", pa.list_(pa.float32()), nullable=True),  # (C,), mean predicted class probability
        pa.field("error", pa.string(), nullable=True),  # why the video could not be scored; the rest is null
    ]
)

SELECTION_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),  # order of the picks, 0 first
        pa.field("cluster", pa.int32(), nullable=True),
        pa.field("quota", pa.int32(), nullable=True),  # videos that this cluster was given in the round
        pa.field("uncertainty", pa.float64(), nullable=True),
        pa.field("proximity_penalty", pa.float64(), nullable=True),
        pa.field("video_score", pa.float64(), nullable=True),
    ]
)

CLUSTERS_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("cluster", pa.int32(), nullable=False),
    ]
)

PREDICTIONS_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("tube_id", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("class_id", pa.int32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),  # of this box, for this class
        pa.field("tube_score", pa.float32(), nullable=False),  # of the whole tube, for this class
        pa.field("x1", pa.float32(), nullable=False),
        pa.field("y1", pa.float32(), nullable=False),
        pa.field("x2", pa.float32(), nullable=False),
        pa.field("y2", pa.float32(), nullable=False),
    ]
)
