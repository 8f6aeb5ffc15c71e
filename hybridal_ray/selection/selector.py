"""Selection on Ray: one task, so that it runs wherever the cluster has a core to spare."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hybridal_ray.errors import UserError
from hybridal_ray.selection.checks import check_selection
from hybridal_ray.selection.request import Selection, SelectionRequest
from hybridal_ray.selection.strategies import build_strategy, run_strategy


def select(strategy: str, options: Mapping[str, Any], request: SelectionRequest, *, in_process: bool) -> Selection:
    """Asks a strategy what to label next.

    Args:
        strategy: Registered name or dotted path ``package.module:Name``.
        options: Keyword arguments of the strategy's constructor.
        request: What it may know, and the budget.
        in_process: Runs it here, without Ray, instead of as a Ray task. The selection is the same.

    Raises:
        UserError: As raised in the task, see `run_strategy`.
    """
    if in_process:
        return run_strategy(strategy, options, request)
    import ray

    built = build_strategy(strategy, options)
    asked = request if built.needs_videos else dataclasses.replace(request, videos=())
    try:
        selection = ray.get(ray.remote(num_cpus=1)(_ask).remote(strategy, dict(options), ray.put(asked)))
    except ray.exceptions.RayTaskError as error:
        # Ray wraps what a task raised; the message for the user must arrive without the wrapping.
        if isinstance(error.cause, UserError):
            raise error.cause from None
        raise
    # Here, where the videos are known in any case.
    check_selection(strategy, built, selection, request)
    return selection


def _ask(strategy: str, options: Mapping[str, Any], request: SelectionRequest) -> Selection:
    return build_strategy(strategy, options).select(request)
