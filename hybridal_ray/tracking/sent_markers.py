"""What of each round has arrived on the tracking server, remembered in the run directory.

``tracking/round-000.sent.json`` names the stages and figures that were sent and the parent run that they went to. A
round whose marker lags behind, or names another parent, is sent again; sending twice changes nothing.
"""

from collections.abc import Iterable

from hybridal_ray.pool import storage
from hybridal_ray.tracking.run_reader import RoundRecord, report_directory


def rounds_behind(run_root: str, records: Iterable[RoundRecord], parent_run_id: str | None) -> list[int]:
    """The rounds that have something which the tracking server lacks, ascending.

    Args:
        run_root: The run directory.
        records: The rounds that have begun.
        parent_run_id: Where they should be; None, when the server was not reached, takes any marker's word.
    """
    return [record.index for record in records if _is_behind(run_root, record, parent_run_id)]


def round_contents(run_root: str, record: RoundRecord) -> list[str]:
    """What a round has to tell so far: its finished stages and its figures, by name."""
    figures = storage.list_files(report_directory(run_root, record.index), suffix=".png")
    return sorted([*record.stage_summaries, *(figure.rpartition("/")[2] for figure in figures)])


def mark_sent(run_root: str, record: RoundRecord, contents: list[str], parent_run_id: str, run_id: str) -> None:
    """Notes that the server has these contents of the round.

    Args:
        run_root: The run directory.
        record: The round.
        contents: `round_contents` from before the sending began.
        parent_run_id: MLflow's id of the parent run.
        run_id: MLflow's id of the nested run.
    """
    marker = {"contents": contents, "parent_run_id": parent_run_id, "run_id": run_id}
    storage.write_json(_location(run_root, record.index), marker)


def _is_behind(run_root: str, record: RoundRecord, parent_run_id: str | None) -> bool:
    contents = round_contents(run_root, record)
    location = _location(run_root, record.index)
    if not storage.exists(location):
        return bool(contents)
    marker = storage.read_json(location)
    elsewhere = parent_run_id is not None and marker["parent_run_id"] != parent_run_id
    return elsewhere or marker["contents"] != contents


def _location(run_root: str, round_index: int) -> str:
    return storage.join(run_root, "tracking", f"round-{round_index:03d}.sent.json")
