"""The rounds of a run: their stages, when they end, and what is told of them.

Stages take plain values and meet in the run directory; the configuration goes no further than their callers here.
"""

from hybridal_ray.config import Config
from hybridal_ray.detector_stages import DetectorStages
from hybridal_ray.labelling import END_AND_WAIT, Patience
from hybridal_ray.pool.tables import Pool
from hybridal_ray.purchases import Purchases
from hybridal_ray.run_end import decide_end
from hybridal_ray.run_stages import RunStages
from hybridal_ray.stopping.end_file import keep_end, read_end
from hybridal_ray.tracking.mlflow_sync import RunStatus, sync_run
from hybridal_ray.tracking.round_report import render_round


class Rounds:
    """See the module's docstring.

    Args:
        run: The run at work.
        patience: What to do while people have not answered.

    Attributes:
        detector: Stages that train and use the detector of a round.
        purchases: Stages that buy labels.
    """

    def __init__(self, run: RunStages, patience: Patience = END_AND_WAIT) -> None:
        self.detector = DetectorStages(run)
        self.purchases = Purchases(run, patience)
        self._run = run

    def is_last(self, round_index: int) -> bool:
        """Whether a stopping criterion ends the run here; not asked once the round's labels have been bought."""
        if round_index + 1 < self._run.config.rounds and self._run.store.stage(round_index, "label").done:
            return False
        end = decide_end(self._run.config, self._run.store, round_index)
        if end is not None and end != read_end(self._run.store.root):
            self._run.say(f"round {round_index}: the run ends here, by {end.criterion}: {end.reason}")
        keep_end(self._run.store.root, end)
        return end is not None

    def track(self, round_index: int) -> None:
        """Draws the round's figures and sends the round to MLflow; neither can fail the round."""
        if self._run.config.tracking.figures:
            render_round(self._run.store.root, round_index, self._run.pool)
        self.sync("RUNNING")

    def sync(self, status: RunStatus) -> None:
        """Sends to MLflow what it has not got; what fails is sent with the next round."""
        error = sync_tracking(self._run.config, self._run.pool, status)
        if error is not None:
            self._run.say(f"tracking: {error}; nothing is lost, the run directory has it all and it is sent later")


def sync_tracking(config: Config, pool: Pool, status: RunStatus) -> str | None:
    """Sends a run to MLflow as its configuration says.

    Args:
        config: The run.
        pool: Its pool.
        status: Of the run.

    Returns:
        Why it could not be sent, None when it was, or when tracking is switched off.
    """
    uri = config.tracking_uri
    if uri is None:
        return None
    run_root = config.locate(config.run)
    return sync_run(
        run_root,
        pool,
        tracking_uri=uri,
        experiment=config.tracking.experiment,
        run_name=run_root.rstrip("/").rsplit("/", 1)[-1],
        artifact_root=config.locate("mlartifacts") if uri.startswith("sqlite:") else None,
        model_name=config.tracking.model_name,
        status=status,
    ).error
