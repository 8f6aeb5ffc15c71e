"""The strategies that come with the package, and how one is built from its name and options.

A strategy of the user's own is named by a dotted path ``package.module:Name`` in the configuration.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.registry import nearest, resolve
from hybridal_ray.selection.claus import Claus
from hybridal_ray.selection.random_frames import Random
from hybridal_ray.selection.request import Selection, SelectionRequest, Strategy

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {"claus": Claus, "random": Random}


def build_strategy(name: str, options: Mapping[str, Any]) -> Strategy:
    """Builds a strategy.

    Args:
        name: Registered name or dotted path.
        options: Keyword arguments of its constructor.

    Raises:
        UserError: The name is unknown, or an option is; the message names the option and those there are.
    """
    constructor = resolve(name, STRATEGIES, field="selection.strategy")
    parameters = inspect.signature(constructor).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    for option in options:
        if option not in parameters and not takes_any:
            known = ", ".join(parameters) or "none"
            raise UserError(
                f"selection.options.{option}: {name} has no such option (known: {known})" + nearest(option, parameters)
            )
    try:
        return constructor(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"selection.options: {name} cannot be built: {error}") from error


def run_strategy(name: str, options: Mapping[str, Any], request: SelectionRequest) -> Selection:
    """Builds a strategy, asks it, and checks its answer, since the next stage spends money on it.

    Raises:
        UserError: The strategy cannot be built, or picks what is labelled already, not there, or over budget.
    """
    selection = build_strategy(name, options).select(request)
    check_selection(name, selection, request)
    return selection


def check_selection(name: str, selection: Selection, request: SelectionRequest) -> None:
    """Refuses a selection that picks what is labelled already, not there, or over budget.

    Raises:
        UserError: It does; the message names the strategy.
    """
    problem = _problem_of(selection, request)
    if problem:
        raise UserError(f"selection.strategy: {name} {problem}")


def _problem_of(selection: Selection, request: SelectionRequest) -> str | None:
    """What makes a selection unfit to be bought, None if nothing does."""
    picks = selection.picks
    if not picks.schema.equals(SELECTION_SCHEMA):
        fields = ", ".join(f"{field.name}: {field.type}" for field in picks.schema)
        return f"returned picks of other fields than SELECTION_SCHEMA has ({fields})"
    if picks["rank"].to_pylist() != list(range(len(picks))):
        return "returned ranks that are not 0, 1, 2 and so on"
    frames_of = Counter(picks["video_id"].to_pylist())
    if len(frames_of) > request.num_videos:
        return f"picked {len(frames_of)} videos, at most {request.num_videos} were asked for"
    for video_id, frames in frames_of.items():
        if frames > request.frames_per_video:
            return f"picked {frames} frames of {video_id!r}, at most {request.frames_per_video} were asked for"
    if request.max_frames is not None and len(picks) > request.max_frames:
        return f"picked {len(picks)} frames, at most {request.max_frames} were asked for"
    num_frames = {video.video_id: video.num_frames for video in request.videos if video.video_id in frames_of}
    taken = {(video_id, frame) for video_id, frames in request.labelled.items() for frame in frames}
    for video_id, frame in zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True):
        if not 0 <= frame < num_frames.get(video_id, 0):
            return f"picked frame {frame} of video {video_id!r}, which is not in the pool"
        if (video_id, frame) in taken:
            return f"picked frame {frame} of video {video_id!r} twice, or though it is labelled already"
        taken.add((video_id, frame))
    return None
