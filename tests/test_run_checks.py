"""What is refused before a run begins. Oracle: the fields that are wrong, and that no run directory is there."""

from pathlib import Path
from typing import Any

import pytest
from small_pool import small_settings, write_small_pool

from hybridal_ray.commands.forecast import tell_forecast
from hybridal_ray.config import parse_config
from hybridal_ray.errors import UserError
from hybridal_ray.loop import open_pool, run_loop
from hybridal_ray.pool.demo import demo_tables
from hybridal_ray.pool.tables import save_pool

PEOPLE = {"oracle": {"name": "files"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detector": {"name": "compct"}}, "detector.name: no 'compct' is known"),
        ({"detector": {"options": {"widht": 8}}}, "detector.options.widht: compact has no such option"),
        ({"detector": {"name": "capsules", "clip_frames": 4}}, "clip_frames is 4, expected 8"),
        ({"detector": {"pretrained": "empty.pt"}}, "empty.pt: "),
        ({"selection": {"start_strategy": "foo"}}, "selection.start_strategy: no 'foo' is known"),
        ({"oracle": {"name": "files", "options": {"urll": 1}}}, "oracle.options.urll: files has no such option"),
        ({"oracle": {"name": "cvat"}}, "oracle.options.url: is missing"),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_what_cannot_be_built_is_refused_before_anybody_labels(
    tmp_path: Path, changes: dict[str, Any], message: str, dry: bool
) -> None:
    write_small_pool(tmp_path / "pool")
    (tmp_path / "empty.pt").write_bytes(b"")
    config = parse_config(small_settings(tmp_path) | PEOPLE | changes, "test")

    with pytest.raises(UserError, match=message):
        tell_forecast(config, as_json=True) if dry else run_loop(config, say=lambda line: None)

    assert not (tmp_path / "runs").exists()


def test_a_budget_that_buys_no_first_batch_is_named(tmp_path: Path) -> None:
    write_small_pool(tmp_path / "pool")
    config = parse_config(small_settings(tmp_path) | {"budget": {"max_seconds": 1}}, "test")

    with pytest.raises(UserError, match=r"^budget.max_seconds: found 1.0, which buys no first batch; expected more$"):
        run_loop(config, say=lambda line: None)


def test_a_demo_pool_of_another_size_is_told(tmp_path: Path) -> None:
    pool = demo_tables(str(tmp_path / "pool"), videos=20, seed=0)
    save_pool(pool)
    told: list[str] = []
    for videos in (20, 40):
        settings = small_settings(tmp_path) | {"pool": {"path": "pool", "demo": {"videos": videos}}}
        assert open_pool(parse_config(settings, "test"), told.append).name == "demo"

    assert told == [f"{tmp_path}/pool: there already, with 20 videos, not the 40 of pool.demo"]
