"""What is told beside a frame, in words: where it is, what the video has already, why it was picked."""

from collections.abc import Mapping

from hybridal_ray.oracles.checking import NO_ACTOR
from hybridal_ray.requests.request import AskedFrame, AskedVideo

MOST_KNOWN = 12  # labels of other frames that are told


def place_of(frame: AskedFrame, video: AskedVideo) -> str:
    """Which frame of which video, and when."""
    seconds = "" if frame.seconds is None else f", at {frame.seconds:.2f} s"
    return f"{frame.video_id}: frame {frame.frame} of {video.num_frames}{seconds}"


def known_of(video: AskedVideo, frame: int) -> str:
    """The labels on the other frames of the video, those nearest in time first."""
    if not video.labelled_frames:
        return "No other frame of this video is labelled yet."
    nearest = sorted(video.labelled_frames, key=lambda other: abs(other - frame))[:MOST_KNOWN]
    told = []
    for other in sorted(nearest):
        names = sorted(box.class_name for box in video.known if box.frame == other)
        told.append(f"frame {other}: {', '.join(names) or NO_ACTOR}")
    return "Labelled already: " + "; ".join(told)


def why_picked(why: Mapping[str, float | int | None]) -> str:
    """The reasons of `AskedFrame.why`, as far as there are some."""
    told = [
        f"{name.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in why.items()
        if value is not None
    ]
    return "Picked because: " + ", ".join(told)
