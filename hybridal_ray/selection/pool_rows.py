"""The pool as a video rule sees it: a row a video, ordered by video id."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.selection.budgets import split_new_and_revisited
from hybridal_ray.selection.latents import ROWS_AT_ONCE, latent_matrix, with_latent
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.score_batches import ScoreBatches

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PoolRows:
    """Some columns of the scores of a pool.

    Attributes:
        table: (V,) rows in ascending order of ``video_id``, with the columns that a video rule asked for.
        labelled: (V,), videos of which a frame is labelled.
        on_offer: (V,), videos that can be bought from: all that either rule reads of them is there, and so is a frame
            that is not answered.
    """

    table: pa.Table
    labelled: Flags
    on_offer: Flags

    def kinds(self, request: SelectionRequest, among: Flags | None = None) -> list[tuple[Places, int]]:
        """New videos and revisited ones that can be bought, each with how many of them to buy (method §5).

        Args:
            request: The budget.
            among: (V,), videos that come into question; None are all.

        Returns:
            Twice the rows, ascending, and a number no higher than theirs; new videos first.
        """
        offered = self.on_offer if among is None else self.on_offer & among
        new, revisited = np.flatnonzero(offered & ~self.labelled), np.flatnonzero(offered & self.labelled)
        budgets = split_new_and_revisited(
            request.num_videos, request.revisit_fraction, new_available=len(new), revisits_available=len(revisited)
        )
        return list(zip((new, revisited), budgets, strict=True))

    def video_scores(self) -> npt.NDArray[np.float64]:
        """(V,), V_score, not a number where there is none."""
        return pc.fill_null(self.table["video_score"], np.nan).to_numpy()

    def latents(self) -> npt.NDArray[np.float32]:
        """(V, D), where the rule asked for them."""
        return latent_matrix(self.table)


def read_pool(
    request: SelectionRequest,
    columns: Sequence[str],
    frame_columns: Sequence[str],
    *,
    needs_scores: bool,
    has_frames: Callable[[str, Mapping[str, Any]], bool],
) -> PoolRows:
    """Goes once over the scores, or over the videos where no scores are needed.

    Args:
        request: The pool.
        columns: Of `SCORES_SCHEMA`, those that are held.
        frame_columns: Those that `has_frames` and a choice of frames read; not held.
        needs_scores: Whether the scores decide what is in the pool.
        has_frames: Whether a video, given its id and its row of `frame_columns`, has a frame that can be bought. Asked
            of videos that are partly answered; of others it is known by the list of frames.

    Raises:
        UserError: A score or latent is not a number, or the latents do not fit in the memory of the request.
        ValueError: The request holds no scores, or a video twice.
    """
    if not needs_scores:
        ids = pa.table({"video_id": pa.array([video.video_id for video in request.videos], pa.string())})
        return _joined([ids], [_on_offer(ids, (), request, has_frames)], request)
    if request.scores is None:
        raise ValueError("the strategy needs scores, and there are none")
    read = list(dict.fromkeys(["video_id", *columns, *frame_columns]))
    # So that there is a table even where there are no scores.
    pieces = [pa.schema([SCORES_SCHEMA.field(name) for name in ("video_id", *columns)]).empty_table()]
    offered, held = [np.zeros(0, dtype=bool)], 0
    for whole in request.scores.batches(read, ROWS_AT_ONCE):
        batch = with_latent(whole) if "latent" in columns else whole
        offered.append(_on_offer(batch, [*columns, *frame_columns], request, has_frames))
        kept = batch.select(["video_id", *columns])
        if "latent" in columns:
            held += latent_matrix(kept).nbytes
            _refuse_too_much(held, request.memory_mib)
        pieces.append(kept)
    return _joined(pieces, offered, request)


def rows_by_id(scores: ScoreBatches, video_ids: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Some columns of some videos' scores, by video id; goes once over the scores and holds no others."""
    wanted = pa.array(video_ids, pa.string())
    found: dict[str, dict[str, Any]] = {}
    for batch in scores.batches(["video_id", *columns], ROWS_AT_ONCE):
        rows = batch.filter(pc.is_in(batch["video_id"], wanted)).to_pylist()
        found |= {row["video_id"]: row for row in rows}
    return found


def refuse_not_numbers(rows: pa.Table) -> None:
    """Raises a UserError that names a video whose ``video_score`` is not a number."""
    broken = pc.fill_null(pc.is_nan(rows["video_score"]), False).to_numpy()
    if broken.any():
        video_id = rows["video_id"][int(broken.argmax())].as_py()
        raise UserError(f"scores: video_score of {video_id!r} is not a number; did the training diverge?")


def labelled_flags(video_ids: pa.ChunkedArray, labelled: Mapping[str, Sequence[int]]) -> Flags:
    """(V,), which videos have a labelled frame."""
    return np.array([bool(labelled.get(video_id)) for video_id in video_ids.to_pylist()], dtype=bool)


def answered_flags(video_ids: pa.ChunkedArray, request: SelectionRequest) -> Flags:
    """(V,), which videos have a frame that is answered, labelled or not."""
    return np.array([bool(request.taken_in(video_id)) for video_id in video_ids.to_pylist()], dtype=bool)


def _on_offer(
    rows: pa.Table,
    columns: Sequence[str],
    request: SelectionRequest,
    has_frames: Callable[[str, Mapping[str, Any]], bool],
) -> Flags:
    offered = np.ones(len(rows), dtype=bool)
    if "video_score" in columns:
        refuse_not_numbers(rows)
    for column in columns:
        offered &= pc.is_valid(rows[column]).to_numpy()
    if "frames" in columns:
        offered &= pc.fill_null(pc.list_value_length(rows["frames"]), 0).to_numpy() > 0
    for place in np.flatnonzero(offered & answered_flags(rows["video_id"], request)):
        row = rows.slice(place, 1).to_pylist()[0]
        offered[place] = has_frames(row["video_id"], row)
    return offered


def _joined(pieces: list[pa.Table], offered: list[Flags], request: SelectionRequest) -> PoolRows:
    rows, on_offer = pa.concat_tables(pieces), np.concatenate(offered)
    order = pc.sort_indices(rows.select(["video_id"]), [("video_id", "ascending")])
    rows = rows.take(order).combine_chunks()
    if len(rows) and pc.count_distinct(rows["video_id"]).as_py() < len(rows):
        raise ValueError("scores hold a video twice")
    return PoolRows(rows, labelled_flags(rows["video_id"], request.labelled), on_offer[order.to_numpy()])


def _refuse_too_much(held: int, memory_mib: int) -> None:
    if held > memory_mib * 2**20:
        raise UserError(
            f"selection.memory_mib: found {memory_mib}, expected more: the latents of this pool, which the strategy "
            f"holds all at once, take over {held // 2**20} MiB (strategy claus streams them)"
        )
