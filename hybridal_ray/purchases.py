"""The stages that buy labels: what is picked, within which bounds, and who labels it."""

from typing import Any

import pyarrow as pa

from hybridal_ray.config_values import plain
from hybridal_ray.detectors.checkpoint import load_detector
from hybridal_ray.errors import UserError
from hybridal_ray.labelling import SELECTION, Patience, expected_cost, is_handed_out, label_purchase
from hybridal_ray.oracles.own_labels import begin_with_own_labels, own_labels
from hybridal_ray.pool import ledger, table_files
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.run_budget import RunBudget
from hybridal_ray.run_stages import START, RunStages
from hybridal_ray.selection.request import Selection, SelectionRequest
from hybridal_ray.selection.score_batches import ScoreBatches, ScoreParts
from hybridal_ray.selection.selector import select
from hybridal_ray.start_scores import start_scores
from hybridal_ray.stopping.criterion import Unit


class Purchases:
    """See the module's docstring.

    Args:
        run: The run at work.
        patience: What to do while people have not answered.
    """

    def __init__(self, run: RunStages, patience: Patience) -> None:
        self._run = run
        self._patience = patience

    def buy_first_labels(self) -> None:
        """Picks and labels what the first round is trained on: random videos and frames, unless told otherwise.

        Labels that the pool has already take their place where the configuration says so.
        """
        if self._run.config.oracle.start_from_pool:
            self._run.stage(START, "select", lambda: {"frames": len(own_labels(self._run.pool, self._run.videos))})
            self._run.stage(
                START, "label", lambda: begin_with_own_labels(self._run.store.root, self._run.pool, self._run.videos)
            )
            return
        budget = self._run.config.budget
        videos = len(self._run.videos) if budget.start_videos == "all" else budget.start_videos
        longest = max(video.num_frames for video in self._run.videos)
        frames = longest if budget.start_frames_per_video == "all" else budget.start_frames_per_video

        def pick() -> dict[str, Any]:
            name, options = self._run.config.selection.start_strategy, self._run.config.selection.start_options
            directory, classes = self._run.store.round_directory(START), len(self._run.pool.classes)
            tell = self._run.now_and_then("start: latents")
            scores = start_scores(self._run.config, self._run.videos, classes, directory, self._run.say, tell)
            labels = self._run.known(START)
            request = self._request(START, labels, videos, frames, scores=scores, centres=None)
            selection = select(name, options, request, in_process=True)
            if not len(selection.picks):
                known = f"nothing but latents ({self._run.config.selection.start_latents}) is known of the videos yet"
                raise UserError(
                    f"selection.start_strategy: {name!r} found no frame to buy, for {known}; expected one that goes "
                    "by latents, as typiclust does, and frames that need no scores (start_options: "
                    "{frames: equidistant})"
                )
            return self._keep(START, selection, labels)

        self._cut_again(START)
        self._run.stage(START, "select", pick)
        self.label(START)

    def select(self, round_index: int) -> None:
        """Picks what to label next."""
        config, budget = self._run.config, self._run.config.budget
        self._cut_again(round_index)
        # A budget that was raised since may buy what the former one could not.
        anew = self._picked_nothing(round_index)

        def work() -> dict[str, Any]:
            # Without the late answers, there is no scoring pass either.
            for labels in (self._run.labels(round_index), self._run.known(round_index, anew=anew)):
                if self._run.frames_left(labels) == 0:
                    return self._keep(round_index, Selection(SELECTION_SCHEMA.empty_table()), labels)
            request = self._request(
                round_index,
                labels,
                budget.videos_in(round_index),
                budget.frames_per_video,
                scores=ScoreParts(self._run.directory(round_index, "scores")),
                centres=load_detector(self._run.checkpoint(round_index)).centres,
            )
            selection = select(
                config.selection.strategy, config.selection.options, request, in_process=not config.scoring.actors
            )
            return self._keep(round_index, selection, labels)

        self._run.stage(round_index, "select", work, anew=anew)

    def label(self, round_index: int | None) -> None:
        """Has the picked frames labelled, for the training of the next round.

        Raises:
            StillWaiting: People have to answer first.
        """

        def work() -> dict[str, Any]:
            truth = self._run.pool.tubes_of([video.video_id for video in self._run.videos])
            return label_purchase(
                self._run.config, self._run.pool, self._run.store, self._run.say, self._patience, round_index, truth
            )

        self._run.stage(round_index, "label", work)

    def _request(
        self,
        round_index: int | None,
        labels: pa.Table,
        num_videos: int,
        frames_per_video: int,
        *,
        scores: ScoreBatches | None,
        centres: Any,
    ) -> SelectionRequest:
        budget = self._run.config.budget
        left = [budget.max_frames_per_round] if round_index is not None else []
        left.append(self._run.frames_left(labels))
        return SelectionRequest(
            videos=self._run.videos,
            labelled=ledger.answered_frames(ledger.labelled_rows(labels)),
            answered=ledger.answered_frames(labels),
            scores=scores,
            centres=centres,
            num_videos=num_videos,
            frames_per_video=frames_per_video,
            max_frames=min((bound for bound in left if bound is not None), default=None),
            revisit_fraction=0.0 if round_index is None else budget.revisit_fraction,
            seed=self._run.config.seed * 1000 + (0 if round_index is None else round_index + 1),
            memory_mib=self._run.config.selection.memory_mib,
            clusters_to=self._run.directory(round_index, "clusters.parquet"),
            round_index=round_index,
            clusters=self._run.config.clustering.clusters,
        )

    def _cut(self, selection: Selection, labels: pa.Table) -> tuple[Selection, Unit | None]:
        config = self._run.config
        return plain(RunBudget, config.budget).cut(selection, labels, expected_cost(config, labels))

    def _keep(self, round_index: int | None, selection: Selection, labels: pa.Table) -> dict[str, Any]:
        """Cuts a purchase to the budget and writes it; returns what its marker tells of it."""
        cut, bounded_by = self._cut(selection, labels)
        if round_index is START and not len(cut.picks):
            bound = f"max_{bounded_by}"
            found = getattr(self._run.config.budget, bound)
            raise UserError(f"budget.{bound}: found {found}, which buys no first batch; expected more")
        table_files.write_table(self._run.directory(round_index, SELECTION), cut.picks)
        videos = len(cut.picks["video_id"].unique())
        return {"videos": videos, "frames": len(cut.picks), "bounded_by": bounded_by}

    def _cut_again(self, round_index: int | None) -> None:
        """Cuts a purchase that nobody has been asked for yet to a budget that was lowered since it was picked."""
        stage = self._run.store.stage(round_index, "select")
        if not stage.done or is_handed_out(self._run.config, self._run.store, round_index):
            return
        picked = Selection(table_files.read_table(self._run.directory(round_index, SELECTION), SELECTION_SCHEMA))
        labels, before = self._run.known(round_index), stage.summary()
        if len(self._cut(picked, labels)[0].picks) < before["frames"]:
            kept = self._keep(round_index, picked, labels)
            stage.finish({**before, **kept})
            self._run.say(f"the budget was lowered: {kept['frames']} of {before['frames']} picked frames are bought")

    def _picked_nothing(self, round_index: int) -> bool:
        stage = self._run.store.stage(round_index, "select")
        return stage.done and stage.summary()["frames"] == 0
