"""Which frames of a video to buy, whichever rule chose the video."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hybridal_ray.registry import resolve
from hybridal_ray.selection.rules import FrameRule, OpenVideo, VideoFrames


class ScoredFrames:
    """The frames that scoring took: uncertain ones, without temporal redundancy (Rana and Rawat, CVPR 2023).

    There are no more of them than scoring took: A, the frames of a video in a round. Cost: a scoring pass.
    """

    columns: Sequence[str] = ("frames", "frame_scores", "frame_penalties")
    needs_videos = False
    whole_videos = False

    def choose(self, video: OpenVideo, count: int, seed: int) -> VideoFrames:
        """Takes them in the order in which scoring did."""
        taken, row = set(video.answered), video.scores
        free = [index for index, frame in enumerate(row["frames"]) if frame not in taken][:count]
        return VideoFrames(*([row[column][index] for index in free] for column in self.columns))


class UncertainFrames:
    """The most uncertain frames, however close together: the ablation of the temporal suppression.

    Cost: a scoring pass, and reading the uncertainty of every frame.
    """

    columns: Sequence[str] = ("profile",)
    needs_videos = False
    whole_videos = False

    def choose(self, video: OpenVideo, count: int, seed: int) -> VideoFrames:
        """Takes them by descending uncertainty, ties to the earlier frame."""
        profile = np.asarray(video.scores["profile"], dtype=np.float64)
        free = _free(len(profile), video.answered)
        best = free[np.lexsort((free, -profile[free]))][:count]
        return VideoFrames(best.tolist(), profile[best].tolist())


class EquidistantFrames:
    """Frames at equal distances among those that are not answered: the n-th is the middle of the n-th equal part.

    Cost: none.
    """

    columns: Sequence[str] = ()
    needs_videos = True
    whole_videos = False

    def choose(self, video: OpenVideo, count: int, seed: int) -> VideoFrames:
        """Takes them from the beginning to the end."""
        free = _free(video.num_frames, video.answered)
        count = min(count, len(free))
        return VideoFrames([int(free[(2 * index + 1) * len(free) // (2 * count)]) for index in range(count)])


class RandomFrames:
    """Frames uniformly at random without replacement, from a generator of each video. Cost: none."""

    columns: Sequence[str] = ()
    needs_videos = True
    whole_videos = False

    def choose(self, video: OpenVideo, count: int, seed: int) -> VideoFrames:
        """Draws them."""
        name = hashlib.blake2b(video.video_id.encode(), digest_size=8).digest()
        rng = np.random.default_rng([seed, int.from_bytes(name, "little")])
        return VideoFrames(rng.permutation(_free(video.num_frames, video.answered))[:count].tolist())


class AllFrames:
    """Every frame of a video, from the first on; the budget is one of frames. Cost: none."""

    columns: Sequence[str] = ()
    needs_videos = True
    whole_videos = True

    def choose(self, video: OpenVideo, count: int, seed: int) -> VideoFrames:
        """Takes them in order."""
        return VideoFrames(_free(video.num_frames, video.answered)[:count].tolist())


FRAME_RULES: Mapping[str, Callable[[], FrameRule]] = {
    "scored": ScoredFrames,
    "uncertain": UncertainFrames,
    "equidistant": EquidistantFrames,
    "random": RandomFrames,
    "all": AllFrames,
}


def frame_rule(name: str) -> FrameRule:
    """The rule of a registered name or a dotted path.

    Raises:
        UserError: There is none of that name.
    """
    built: FrameRule = resolve(name, FRAME_RULES, field="selection.options.frames")()
    return built


def _free(num_frames: int, answered: Sequence[int]) -> npt.NDArray[np.int64]:
    """The frames of a video that are not answered, ascending."""
    return np.setdiff1d(np.arange(num_frames), np.asarray(answered, dtype=np.int64))
