"""``hybridal run --dry-run``: what the next round will cost."""

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from hybridal_ray.config import Config
    from hybridal_ray.forecast.next_round import Forecast
    from hybridal_ray.forecast.purchase import Purchase


def tell_forecast(config: "Config", as_json: bool) -> None:
    """Prints the forecast of the next round of a run, which is left as it is."""
    from hybridal_ray.forecast.next_round import forecast_next_round
    from hybridal_ray.loop import open_pool
    from hybridal_ray.run_checks import check_detector, check_settings
    from hybridal_ray.run_end import check_stopping

    check_settings(config)
    pool = open_pool(config, say=lambda line: print(line, file=sys.stderr, flush=True))
    check_stopping(config, pool)
    check_detector(config, len(pool.classes))
    forecast = forecast_next_round(config, pool)
    if as_json:
        print(json.dumps(dataclasses.asdict(forecast), indent=1))
    else:
        _print(forecast, Console())


def _print(forecast: "Forecast", console: Console) -> None:
    from hybridal_ray.pass_progress import duration

    console.print(f"next round: {forecast.round}", soft_wrap=True)
    console.print(f"to label before it: {_told(forecast.to_label)}", soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("stage")
    table.add_column("time", justify="right")
    table.add_column("taken from")
    for stage in forecast.stages:
        table.add_row(stage.stage, "–" if stage.seconds is None else duration(stage.seconds), stage.basis)
    console.print(table)
    console.print(f"together: {duration(forecast.seconds)} of computing", soft_wrap=True)
    console.print(f"it will then ask for up to: {_told(forecast.asks_for)}", soft_wrap=True)
    for note in forecast.notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False)


def _told(purchase: "Purchase") -> str:
    from hybridal_ray.pass_progress import duration

    if not purchase.frames:
        return "nothing"
    labour = duration(purchase.annotator_seconds)
    return f"{purchase.frames:,} frames in {purchase.videos:,} videos, {labour} of labour, {purchase.boxes:,.0f} boxes"
