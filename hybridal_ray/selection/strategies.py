"""The strategies that come with the package, and how one is built from its name and options.

A strategy of the user's own is named by a dotted path ``package.module:Name`` in the configuration.
"""

from collections.abc import Callable, Mapping
from typing import Any

from hybridal_ray.errors import UserError
from hybridal_ray.registry import check_options, resolve
from hybridal_ray.selection.badge import BadgeVideos, badge
from hybridal_ray.selection.checks import check_selection
from hybridal_ray.selection.claus import Claus
from hybridal_ray.selection.cluster_videos import ClusterVideos, clusters
from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.core_set import CoreSetVideos, core_set
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.intra_sample import IntraSample
from hybridal_ray.selection.proximity import ProximityAware
from hybridal_ray.selection.random_frames import Random
from hybridal_ray.selection.random_videos import RandomVideos, equidistant
from hybridal_ray.selection.request import Selection, SelectionRequest, Strategy
from hybridal_ray.selection.rules import VideoRule
from hybridal_ray.selection.scheduled import Scheduled
from hybridal_ray.selection.source_videos import SourceVideos, sources
from hybridal_ray.selection.typical_videos import TypicalVideos, typiclust
from hybridal_ray.selection.uncertain_videos import (
    UncertainVideos,
    bald,
    disagreement,
    entropy,
    inter_sample,
    uncertainty,
)

FIELDS = ("selection.strategy", "selection.options")
START_FIELDS = ("selection.start_strategy", "selection.start_options")


def inside_of(option: str) -> tuple[str, str]:
    """The fields of a strategy that is named by an option of another."""
    return f"selection.options.{option}", f"selection.options.{option}_options"


VIDEO_RULES: Mapping[str, Callable[..., VideoRule]] = {
    "badge": BadgeVideos,
    "clusters": ClusterVideos,
    "core_set": CoreSetVideos,
    "random": RandomVideos,
    "sources": SourceVideos,
    "typical": TypicalVideos,
    "uncertainty": UncertainVideos,
}


def combined(
    videos: str, frames: str = "scored", video_options: Mapping[str, Any] | None = None, measure: str | None = None
) -> Combined:
    """Strategy ``combined``: any choice of videos with any choice of frames.

    Args:
        videos: Name of `VIDEO_RULES`, or dotted path.
        frames: Name of `FRAME_RULES`, or dotted path.
        video_options: Keyword arguments of the video rule.
        measure: See `Combined`.

    Raises:
        UserError: A rule or an option of it is unknown.
    """
    rule = resolve(videos, VIDEO_RULES, field="selection.options.videos")
    built: VideoRule = _build(rule, videos, video_options or {}, "selection.options.video_options")
    return Combined(built, frame_rule(frames), measure)


def scheduled(
    first: str = "typiclust",
    then: str = "claus",
    until_frames: int | None = None,
    until_round: int | None = None,
    first_options: Mapping[str, Any] | None = None,
    then_options: Mapping[str, Any] | None = None,
) -> Scheduled:
    """Strategy ``scheduled``: one strategy while labels are few, another from then on.

    Args:
        first: Strategy to begin with, by name or dotted path.
        then: Strategy to go on with.
        until_frames: See `Scheduled`.
        until_round: See `Scheduled`.
        first_options: Keyword arguments of the first.
        then_options: Keyword arguments of the second.

    Raises:
        UserError: One of the strategies cannot be built, or see `Scheduled`.
    """
    early = build_strategy(first, first_options or {}, fields=inside_of("first"))
    late = build_strategy(then, then_options or {}, fields=inside_of("then"))
    return Scheduled(early, late, until_frames=until_frames, until_round=until_round)


STRATEGIES: Mapping[str, Callable[..., Strategy]] = {
    "badge": badge,
    "bald": bald,
    "claus": Claus,
    "clusters": clusters,
    "combined": combined,
    "core_set": core_set,
    "disagreement": disagreement,
    "entropy": entropy,
    "equidistant": equidistant,
    "inter_sample": inter_sample,
    "intra_sample": IntraSample,
    "proximity": ProximityAware,
    "random": Random,
    "scheduled": scheduled,
    "sources": sources,
    "typiclust": typiclust,
    "uncertainty": uncertainty,
}


def build_strategy(name: str, options: Mapping[str, Any], *, fields: tuple[str, str] = FIELDS) -> Strategy:
    """Builds a strategy.

    Args:
        name: Registered name or dotted path.
        options: Keyword arguments of its constructor.
        fields: Of the configuration, where name and options stand; a message names them.

    Raises:
        UserError: The name is unknown, or an option is; the message names the option and those there are. Or what was
            built is no strategy.
    """
    named, options_named = fields
    constructor = resolve(name, STRATEGIES, field=named)
    strategy: Strategy = _build(constructor, name, options, options_named)
    for attribute in ("needs_scores", "needs_videos", "select"):
        if not hasattr(strategy, attribute):
            raise UserError(
                f"{named}: {name} has no attribute {attribute!r}; expected needs_scores, needs_videos and "
                "select, see docs/strategies.md"
            )
    return strategy


def run_strategy(name: str, options: Mapping[str, Any], request: SelectionRequest) -> Selection:
    """Builds a strategy, asks it, and checks its answer, since the next stage spends money on it.

    Raises:
        UserError: The strategy cannot be built, or picks what is answered already, not there, or over budget.
    """
    strategy = build_strategy(name, options)
    selection = strategy.select(request)
    check_selection(name, strategy, selection, request)
    return selection


def _build(constructor: Callable[..., Any], name: str, options: Mapping[str, Any], field: str) -> Any:
    check_options(constructor, name, options, field=field)
    try:
        return constructor(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"{field}: {name} cannot be built: {error}") from error
