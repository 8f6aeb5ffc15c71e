"""A schedule: one strategy while labels are few, another from then on."""

from hybridal_ray.errors import UserError
from hybridal_ray.selection.request import Selection, SelectionRequest, Strategy, budget_in_frames, measure_of


class Scheduled:
    """Selects by one strategy at first, and by another once there are labels enough, or from a round on.

    Where labels are few the detector's uncertainty says little, and typical samples are worth more (Hacohen et al.,
    ICML 2022); TypiClust first and then CLAUS is such a curriculum (Bengio et al., *Curriculum Learning*, ICML 2009).
    Cost: that of the strategy in force, but the scoring pass is run in every round if either needs one, and by the
    measure of either that has one of its own.

    Args:
        first: Strategy to begin with.
        then: Strategy to go on with.
        until_frames: The second selects once this many frames are labelled.
        until_round: Or from this round on, the first being 0. Exactly one of the two is given.

    Raises:
        UserError: Neither or both ends are given, or one that is no number of frames or rounds; or the two strategies
            cannot share a scoring pass or differ in the kind of budget.
    """

    def __init__(
        self, first: Strategy, then: Strategy, *, until_frames: int | None = None, until_round: int | None = None
    ) -> None:
        if (until_frames is None) == (until_round is None):
            found = f"until_frames={until_frames} and until_round={until_round}"
            raise UserError(f"selection.options: found {found}, expected one of them to be given")
        for name, end in (("until_frames", until_frames), ("until_round", until_round)):
            if end is not None and end < 0:
                raise UserError(f"selection.options.{name}: found {end!r}, expected 0 or more")
        measures = {measure_of(first), measure_of(then)} - {None}
        if len(measures) > 1 or budget_in_frames(first) != budget_in_frames(then):
            raise UserError(
                "selection.options: the strategies first and then differ in the measure of uncertainty or in the kind "
                "of budget; expected two that share them"
            )
        self.first = first
        self.then = then
        self.until_frames = until_frames
        self.until_round = until_round
        self.measure = measures.pop() if measures else None
        self.budget_in_frames = budget_in_frames(first)
        self.needs_scores = first.needs_scores or then.needs_scores
        self.needs_videos = first.needs_videos or then.needs_videos

    def select(self, request: SelectionRequest) -> Selection:
        """Asks the strategy in force; before the first round that is the first one."""
        if self.until_frames is not None:
            early = sum(len(set(frames)) for frames in request.labelled.values()) < self.until_frames
        else:
            early = request.round_index is None or request.round_index < (self.until_round or 0)
        return (self.first if early else self.then).select(request)
