"""The active-learning loop: train on the labels there are, score the pool, select, have it labelled; repeat.

Every stage ends with its marker, so a run that was killed anywhere goes on behind the last finished stage.
"""

from hybridal_ray.config import FREE_FIELDS, Config
from hybridal_ray.errors import UserError
from hybridal_ray.labelling import END_AND_WAIT, Patience, StillWaiting, asks_people
from hybridal_ray.pool import storage
from hybridal_ray.pool.demo import NAME, demo_tables, generate_demo_pool
from hybridal_ray.pool.tables import Pool, load_pool
from hybridal_ray.rounds import Rounds
from hybridal_ray.run_checks import check_cluster, check_detector, check_labels, check_settings, free_until
from hybridal_ray.run_end import check_stopping
from hybridal_ray.run_stages import RunStages, Say
from hybridal_ray.run_store import RunStore
from hybridal_ray.tracking.mlflow_sync import RunStatus
from hybridal_ray.tracking.provenance import note_other_code, write_provenance
from hybridal_ray.video_rows import VideoRows


def run_loop(config: Config, say: Say = print, patience: Patience = END_AND_WAIT) -> str:
    """Runs the rounds of a configuration, or goes on with them where an earlier job stopped.

    Args:
        config: The run.
        say: Takes a line of progress.
        patience: What to do while people have not answered; the run ends well where it is to wait without a machine.

    Returns:
        The run directory.

    Raises:
        UserError: Something in the configuration, the pool or the cluster has to be put right first.
    """
    run_root = config.locate(config.run)
    check_settings(config)
    check_cluster(config)
    pool = open_pool(config, say)
    check_stopping(config, pool)
    if not RunStore(run_root).stage(0, "train").done:
        check_detector(config, len(pool.classes))
    with RunStore(run_root) as store:
        resolved = {**config.model_dump(mode="json"), "pool_identity": pool.identity()}
        store.open(resolved, FREE_FIELDS, free_until(config))
        write_provenance(run_root, pool)
        other = note_other_code(run_root)
        if other is not None:
            say(other)
        rounds = Rounds(RunStages(config, pool, store, say), patience)
        detector, purchases = rounds.detector, rounds.purchases
        status: RunStatus = "FAILED"
        try:
            purchases.buy_first_labels()
            for round_index in range(config.rounds):
                detector.train(round_index)
                detector.evaluate(round_index)
                detector.validate(round_index)
                detector.score(round_index)
                purchases.select(round_index)
                last = rounds.is_last(round_index)
                rounds.track(round_index)
                if last:
                    break
                purchases.label(round_index)
            status = "FINISHED"
        except StillWaiting as waiting:
            status = "RUNNING"
            say(str(waiting))
        finally:
            rounds.sync(status)
    return run_root


def open_pool(config: Config, say: Say) -> Pool:
    """Loads the pool of a configuration; the demo pool is generated first when it is not there.

    Raises:
        UserError: There is no pool, or it is malformed, or it has no videos to train or evaluate on, or no labels
            where some are needed from the start.
    """
    location = config.locate(config.pool.path)
    if config.pool.demo is not None and not storage.exists(storage.join(location, "pool.json")):
        say(f"generating the demo pool: {config.pool.demo.videos} videos in {location}")
        generate_demo_pool(location, videos=config.pool.demo.videos, seed=config.pool.demo.seed)
    pool = load_pool(location)
    if config.pool.demo is not None and pool.name == NAME:
        asked = demo_tables(location, videos=config.pool.demo.videos, seed=config.pool.demo.seed)
        if pool.identity() != asked.identity():
            say(f"{location}: there already, with {len(pool.videos)} videos, which are not those that pool.demo names")
    validated = ["val"] if config.training.validation.source == "val" else []
    # People can begin with videos alone; what cannot be evaluated is then not.
    evaluated = [] if asks_people(config) else [config.evaluation.split]
    for split in ("train", *evaluated, *validated):
        if not len(VideoRows.usable(pool.videos, split, pool.root)):
            raise UserError(f"{location}/videos.parquet: no video of split {split!r} has status 'ok'")
    check_labels(config, pool)
    return pool
