"""How commands tell of a pool and of how far they are."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hybridal_ray.pool.tables import Pool


def tell_pool(pool: Pool, as_json: bool, notes: Sequence[str] = ()) -> None:
    """Prints the counts of a pool, and what is to be known of how it was made."""
    from hybridal_ray.report import pool_facts

    facts = pool_facts(pool)
    if as_json:
        print(json.dumps({**facts, "notes": list(notes)} if notes else facts, indent=1))
        return
    print("\n".join(f"{name}: {value}" for name, value in facts.items()))
    print("".join(f"note: {note}\n" for note in notes), end="")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, for a person who looks on; what it yields takes the videos done and all videos."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
