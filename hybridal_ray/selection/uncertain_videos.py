"""Uncertainty alone: the videos of the highest V_score."""

from collections.abc import Sequence

from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.pool_rows import PoolRows
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.rules import Lot
from hybridal_ray.selection.score_order import by_score


class UncertainVideos:
    """Takes videos by V_score, the highest first.

    Lewis and Gale, *A Sequential Algorithm for Training Text Classifiers*, SIGIR 1994. Cost: a scoring pass; a number
    a video in memory (as many as there are classes where they are balanced), O(V log V).

    Args:
        balance_classes: Takes turns between predicted classes, see `balanced_order`.
    """

    needs_scores = True

    def __init__(self, balance_classes: bool = False) -> None:
        self.balance_classes = balance_classes
        self.columns: Sequence[str] = ("video_score", "class_scores") if balance_classes else ("video_score",)

    def choose(self, pool: PoolRows, request: SelectionRequest) -> list[Lot]:
        """See `VideoRule`."""
        return [Lot(by_score(pool, places, self.balance_classes)[:count]) for places, count in pool.kinds(request)]


def uncertainty(frames: str = "scored", balance_classes: bool = False) -> Combined:
    """Strategy ``uncertainty``: top V_score."""
    return Combined(UncertainVideos(balance_classes), frame_rule(frames))


def inter_sample(balance_classes: bool = False) -> Combined:
    """Strategy ``inter_sample``: every frame of the most uncertain videos, as long as the frames of the budget last.

    The paper's inter-sample-only selection (Rana and Rawat, CVPR 2023; method §5). So that budgets in frames are equal,
    the last video of a round is cut; it is a labelled one then, and is gone on with where videos are revisited. Cost:
    as `UncertainVideos`.
    """
    return Combined(UncertainVideos(balance_classes), frame_rule("all"))


def entropy(frames: str = "scored", balance_classes: bool = False) -> Combined:
    """Strategy ``entropy``: top V_score, of the entropy of the mean foreground probability.

    Shannon 1948; as a criterion, Settles, *Active Learning Literature Survey*, 2009. Cost: as `UncertainVideos`.
    """
    return Combined(UncertainVideos(balance_classes), frame_rule(frames), measure="entropy")


def bald(frames: str = "scored", balance_classes: bool = False) -> Combined:
    """Strategy ``bald``: top V_score, of the mutual information of foreground and weights.

    Houlsby et al., arXiv:1112.5745, 2011; Gal, Islam and Ghahramani, *Deep Bayesian Active Learning with Image Data*,
    ICML 2017. Cost: as `UncertainVideos`; two passes at least.
    """
    return Combined(UncertainVideos(balance_classes), frame_rule(frames), measure="bald")


def disagreement(frames: str = "scored", balance_classes: bool = False) -> Combined:
    """Strategy ``disagreement``: top V_score, of the difference between neighbouring passes.

    A committee of two (Seung, Opper and Sompolinsky, *Query by Committee*, COLT 1992) drawn by dropout. Cost: as
    `UncertainVideos`, and ``scoring.passes: 2`` is enough.
    """
    return Combined(UncertainVideos(balance_classes), frame_rule(frames), measure="neighbour_disagreement")
