"""What an annotation tool shows between the frames on which a person set a box."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Keyframes:
    """The frames of one object on which its position is given.

    Attributes:
        frames: (K,), ascending, each once.
        values: (K, D), the position: edges, or corner, size and angle.
        shown: (K,), whether the object is there at the frame itself.
        shown_after: (K,), whether it is there between this frame and the next, or to the end after the last.
    """

    frames: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    shown: npt.NDArray[np.bool_]
    shown_after: npt.NDArray[np.bool_]

    def on(
        self, grid: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.intp]]:
        """Where the object is: linear between keyframes, held after the last.

        Args:
            grid: The frames that the tool shows, ascending; keyframes off the grid are shown too.

        Returns:
            Frames on which it is there (N,), its positions (N, D), and the last keyframe before or at each (N,).
        """
        shown_frames = np.union1d(grid, self.frames)
        last = np.searchsorted(self.frames, shown_frames, side="right") - 1
        begun = last >= 0
        at_key = begun & (self.frames[last] == shown_frames)
        there = begun & np.where(at_key, self.shown[last], self.shown_after[last])
        kept = shown_frames[there]
        columns = [np.interp(kept, self.frames, column) for column in self.values.T]
        return kept, np.stack(columns, axis=1), last[there]
