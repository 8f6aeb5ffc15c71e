"""The names of the figures: those in ``evaluate/metrics.json`` that have one value a round."""

from collections.abc import Sequence

from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.conventions import CAPSNET, CONVENTIONS
from hybridal_ray.evaluation.figures_table import FIGURES
from hybridal_ray.registry import nearest

WITHOUT_INTERVAL = ("frame_ap_localisation@0.5", "tube_class_accuracy")


def known_metrics() -> tuple[str, ...]:
    """All names, those of ``strict`` without their convention first; `WITHOUT_INTERVAL` are not measured with one."""
    conventions = [(convention.name, convention.tubes) for convention in CONVENTIONS]
    told = [
        f"{name}/{figure}"
        for name, tubes in (*conventions, (CAPSNET, True))
        for figure in FIGURES
        if tubes or not figure.startswith("video_")
    ]
    return (*FIGURES, *WITHOUT_INTERVAL, *told)


def check_metrics(names: Sequence[str], field: str) -> None:
    """Refuses a name that no evaluation gives a figure.

    Args:
        names: As asked for.
        field: Where, for the message.

    Raises:
        UserError: Names the first that is not known.
    """
    known = known_metrics()
    for name in names:
        if name not in known:
            raise UserError(
                f"{field}: no figure {name!r} is known, expected a name such as {known[0]} or {known[-1]}"
                + nearest(name, known)
            )
