"""Jobs that ask people, and imports of their answers, each killed at every file of labels or requests that it writes.

``python dying_people.py CONFIG TRUTH ANSWERS [key=value …]`` goes through the start, the first round, and what ends
it; ANSWERS is where the files of answers are written. It prints the list of [file, before or after] of all deaths.
"""

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from dying_jobs import Death, finish, next_death
from scripted_people import answer, request_of

from hybridal_ray.config import load_config
from hybridal_ray.label_intake import bring_in, open_run, requests_of
from hybridal_ray.oracles.deliveries import read_delivery
from hybridal_ray.pool.tables import load_pool

PARTS = ("/request/", "/labels/", "/rejected/", "label.done.json", "selection.parquet", "select.done.json")


def main(file: str, truth: str, answers: str, *overrides: str) -> None:
    config = load_config(file, overrides)
    run, known = config.locate(config.run), load_pool(truth)
    torch.set_num_threads(1)
    deaths: list[Death] = []

    def survive(work: Callable[[], int]) -> None:
        while (death := next_death(work, deaths, PARTS)) is not None:
            deaths.append(death)

    survive(lambda: finish(config))
    for round_index in (None, 0):
        brought = Path(answers) / f"{round_index}.json"
        told = answer(request_of(Path(run), round_index), known, brought)
        spoilt = {**told[0], "boxes": "none"}
        tree = json.loads(brought.read_text())
        brought.write_text(json.dumps({**tree, "answers": [*told, spoilt]}))
        survive(lambda file=brought: take_in(run, str(file)))
        survive(lambda: finish(config))
    print(json.dumps(deaths))


def take_in(run: str, file: str) -> int:
    try:
        store, _, pool = open_run(run)
        bring_in(store, pool, read_delivery(file, requests_of(store)))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
