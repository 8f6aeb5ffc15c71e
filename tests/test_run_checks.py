"""What is refused before a run begins. Oracle: the fields that are wrong, and that no run directory is there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from small_pool import small_settings, write_small_pool

from hybridal_ray.commands.forecast import tell_forecast
from hybridal_ray.config import FREE_FIELDS, parse_config
from hybridal_ray.errors import UserError
from hybridal_ray.loop import open_pool, run_loop
from hybridal_ray.pool.demo import demo_tables
from hybridal_ray.pool.tables import LABELLED_FRAMES_SCHEMA, TUBES_SCHEMA, VIDEOS_SCHEMA, save_pool
from hybridal_ray.run_checks import free_until
from hybridal_ray.run_store import RunStore

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
        (
            {"oracle": {"options": {"box_jitter": 0.3}}},
            "oracle.options: found box_jitter, but simulated asks nobody .*; expected none .* is oracle.faults",
        ),
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


def test_a_demo_pool_of_another_size_or_seed_is_told(tmp_path: Path) -> None:
    pool = demo_tables(str(tmp_path / "pool"), videos=20, seed=0)
    save_pool(pool)
    told: list[str] = []
    for demo in ({"videos": 20}, {"videos": 40}, {"videos": 20, "seed": 1}):
        settings = small_settings(tmp_path) | {"pool": {"path": "pool", "demo": demo}}
        assert open_pool(parse_config(settings, "test"), told.append).name == "demo"

    assert told == [f"{tmp_path}/pool: there already, with 20 videos, which are not those that pool.demo names"] * 2


def write_pool_of_splits(root: Path, boxes: dict[str, int], looked_at: list[str] | None = None) -> None:
    """`write_small_pool` with v3 in the split val; so many boxes on the videos named, and no other."""
    small = write_small_pool(root / "pool")
    videos = [{**row, "split": "val" if row["video_id"] == "v3" else row["split"]} for row in small.videos.to_pylist()]
    box = {**small.tubes.to_pylist()[0]}
    tubes = [{**box, "video_id": name, "frame": frame} for name, count in boxes.items() for frame in range(count)]
    tables = pa.Table.from_pylist(videos, VIDEOS_SCHEMA), pa.Table.from_pylist(tubes, TUBES_SCHEMA)
    frames = None if looked_at is None else [{"video_id": name, "frame": 0} for name in looked_at]
    seen = None if frames is None else pa.Table.from_pylist(frames, LABELLED_FRAMES_SCHEMA)
    save_pool(replace(small, videos=tables[0], tubes=tables[1], looked_at=seen))


VALIDATED = {"training": {"workers": 0, "validation": {"source": "val"}}}


@pytest.mark.parametrize(
    ("boxes", "changes", "message"),
    [
        ({"v4": 1}, VALIDATED, "training.validation.source: no video of the split 'val' of .* has labels"),
        ({"v4": 1}, VALIDATED | PEOPLE, "training.validation.source: no video of the split 'val' of .* has labels"),
        ({"v3": 1}, {}, "evaluation.split: no video of the split 'test' of .* has a box"),
        ({"v4": 1}, {"evaluation": {"split": "val"}}, "evaluation.split: no video of the split 'val' of .* has a box"),
    ],
)
def test_a_split_without_the_labels_it_is_needed_for_is_refused_before_anything_is_bought(
    tmp_path: Path, boxes: dict[str, int], changes: dict[str, Any], message: str
) -> None:
    write_pool_of_splits(tmp_path, boxes)
    config = parse_config(small_settings(tmp_path) | changes, "test")

    with pytest.raises(UserError, match=message):
        run_loop(config, say=lambda line: None)

    assert not (tmp_path / "runs").exists()


def test_a_split_with_the_labels_it_is_needed_for_is_taken(tmp_path: Path) -> None:
    write_pool_of_splits(tmp_path, {"v3": 1})
    open_pool(parse_config(small_settings(tmp_path) | VALIDATED | PEOPLE, "test"), print)
    write_pool_of_splits(tmp_path, {"v4": 1}, looked_at=["v3", "v4"])  # that nobody acts is a label too
    open_pool(parse_config(small_settings(tmp_path) | VALIDATED, "test"), print)


PRETRAINED_START = {"start_strategy": "typiclust", "start_latents": "pretrained"}


@pytest.mark.parametrize(
    ("selection", "field", "value", "free"),
    [
        ({}, "training.batch_size", 4, True),
        ({}, "training.learning_rate", 1e-4, True),
        ({}, "scoring.passes", 3, True),
        ({}, "scoring.clip_step", 2, True),
        ({}, "evaluation.split", "val", True),
        ({}, "clustering.clusters", 3, False),
        ({}, "budget.start_videos", 3, False),
        (PRETRAINED_START, "scoring.passes", 3, True),
        (PRETRAINED_START, "scoring.clip_step", 2, False),
    ],
)
def test_what_nothing_bought_goes_by_may_change_until_it_is_used(
    tmp_path: Path, selection: dict[str, Any], field: str, value: Any, free: bool
) -> None:
    weights = {"detector": {"pretrained": "w.pt"}}
    settings = small_settings(tmp_path) | weights | {"selection": selection}
    config = parse_config(settings, "test")
    resolved = config.model_dump(mode="json")
    store = RunStore(str(tmp_path / "run"))
    store.open(resolved, FREE_FIELDS, free_until(config))
    store.stage(None, "select").finish({"seconds": 1.0})
    section, name = field.split(".")
    changed = {**resolved, section: {**resolved[section], name: value}}
    if free:
        store.open(changed, FREE_FIELDS, free_until(config))
        assert store.config()[section][name] == value
    else:
        with pytest.raises(UserError, match=f"{field} was"):
            store.open(changed, FREE_FIELDS, free_until(config))
    store.close()
