"""Whether a selection may be bought."""

from collections import Counter

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.selection.request import Selection, SelectionRequest, Strategy, budget_in_frames, frame_budget


def check_selection(name: str, strategy: Strategy, selection: Selection, request: SelectionRequest) -> None:
    """Refuses a selection that picks what is answered already, not there, or over budget.

    Raises:
        UserError: It does; the message names the strategy.
    """
    problem = (
        _malformed(selection)
        or (_too_many_frames(selection, request) if budget_in_frames(strategy) else _over_budget(selection, request))
        or _unfit_frame(selection, request)
    )
    if problem:
        raise UserError(f"selection.strategy: {name} {problem}")


def _malformed(selection: Selection) -> str | None:
    picks = selection.picks
    if not picks.schema.equals(SELECTION_SCHEMA):
        fields = ", ".join(f"{field.name}: {field.type}" for field in picks.schema)
        return f"returned picks of other fields than SELECTION_SCHEMA has ({fields})"
    if picks["rank"].to_pylist() != list(range(len(picks))):
        return "returned ranks that are not 0, 1, 2 and so on"
    return None


def _over_budget(selection: Selection, request: SelectionRequest) -> str | None:
    frames_of = Counter(selection.picks["video_id"].to_pylist())
    if len(frames_of) > request.num_videos:
        return f"picked {len(frames_of)} videos, at most {request.num_videos} were asked for"
    for video_id, frames in frames_of.items():
        if frames > request.frames_per_video:
            return f"picked {frames} frames of {video_id!r}, at most {request.frames_per_video} were asked for"
    return _too_many_frames(selection, request)


def _too_many_frames(selection: Selection, request: SelectionRequest) -> str | None:
    if len(selection.picks) > frame_budget(request):
        return f"picked {len(selection.picks)} frames, at most {frame_budget(request)} were asked for"
    return None


def _unfit_frame(selection: Selection, request: SelectionRequest) -> str | None:
    """What makes a frame unfit to be bought, None if nothing does."""
    picks = selection.picks
    wanted = set(picks["video_id"].to_pylist())
    num_frames = {video.video_id: video.num_frames for video in request.videos if video.video_id in wanted}
    taken = {(video_id, frame) for video_id in wanted for frame in request.taken_in(video_id)}
    for video_id, frame in zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True):
        if not 0 <= frame < num_frames.get(video_id, 0):
            return f"picked frame {frame} of video {video_id!r}, which is not in the pool"
        if (video_id, frame) in taken:
            return f"picked frame {frame} of video {video_id!r} twice, or though it is answered already"
        taken.add((video_id, frame))
    return None
