"""Oracles: files looked at by hand, another process that is killed, and an object store kept in memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest
import yaml
from fsspec.implementations.memory import MemoryFileSystem

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.run_store import RunStore, StageStatus, take_lock

CONFIG = {
    "seed": 0,
    "training": {"epochs": 3, "learning_rate": 1e-6, "classes": ["run", "jump"]},
    "selection": {"strategy": "claus", "options": {}},
    "scoring": {"actors": 2},
}


def changed(field: str, value: Any) -> dict[str, Any]:
    """CONFIG with one dotted field set."""
    config = json.loads(json.dumps(CONFIG))
    *parents, name = field.split(".")
    place = config
    for parent in parents:
        place = place[parent]
    place[name] = value
    return config


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "runs" / "first")


@pytest.fixture
def object_store(monkeypatch: pytest.MonkeyPatch) -> str:
    """The root of a run in a store that has no directories and knows no locks."""
    in_memory = pafs.PyFileSystem(pafs.FSSpecHandler(MemoryFileSystem()))
    monkeypatch.setattr(storage, "filesystem", lambda location: (in_memory, location.removeprefix("s3:/")))
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    return "s3://bucket/run"


def begin(root: str, config: dict[str, Any] = CONFIG, free: tuple[str, ...] = ()) -> None:
    """What a job does: it takes the run, and lets it go when it ends."""
    with RunStore(root) as store:
        store.open(config, free)


def test_the_configuration_is_kept_in_its_own_order(root):
    begin(root)
    assert yaml.safe_load(Path(root, "config.yaml").read_text()) == CONFIG
    assert list(RunStore(root).config()) == list(CONFIG)


def test_a_tuple_is_no_change_from_the_list_it_is_read_back_as(root):
    for classes in (("run", "jump"), ["run", "jump"]):
        begin(root, changed("seed", 0) | {"training": {"classes": classes}})
        RunStore(root).stage(None, "select").finish({"seconds": 1.0})


def test_a_stage_is_done_once_its_marker_is_written(root):
    stage = RunStore(root).stage(7, "train")
    assert stage.directory == f"{root}/rounds/007"
    assert not stage.done
    stage.finish({"seconds": 1.5, "loss": 0.25})
    assert json.loads(Path(root, "rounds/007/train.done.json").read_text()) == {"seconds": 1.5, "loss": 0.25}
    assert RunStore(root).stage(7, "train").done
    assert stage.summary() == {"seconds": 1.5, "loss": 0.25}
    assert not RunStore(root).stage(7, "evaluate").done


def test_before_the_first_round_there_is_the_start(root):
    store = RunStore(root)
    assert store.round_directory(None) == f"{root}/start"
    store.stage(None, "select").finish({"seconds": 0.0})
    assert Path(root, "start/select.done.json").exists()


def test_the_summary_of_an_unfinished_stage_is_refused(root):
    with pytest.raises(UserError, match=r"train\.done\.json"):
        RunStore(root).stage(0, "train").summary()


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("seed", 1, "seed was 0 and is now 1"),
        ("training.epochs", 4, "training.epochs was 3 and is now 4"),
        ("training.classes", ["run"], r"training.classes was \['run', 'jump'\] and is now \['run'\]"),
        ("training.warm", True, r"training.warm was '\(not set\)' and is now True"),
        ("selection.options", {"clusters": 3}, "selection.options.clusters was .* and is now 3"),
    ],
)
def test_a_change_that_would_falsify_finished_stages_is_refused(root, field, value, told):
    begin(root)
    RunStore(root).stage(None, "select").finish({"seconds": 1.0})
    before = Path(root, "config.yaml").read_bytes()
    with pytest.raises(UserError, match=rf"{root}.*{told}.*Restore.*new run directory"):
        begin(root, changed(field, value), free=("scoring", "train", "training.epoch"))
    assert Path(root, "config.yaml").read_bytes() == before


def test_every_change_is_named_at_once(root):
    begin(root)
    RunStore(root).stage(None, "select").finish({"seconds": 1.0})
    with pytest.raises(UserError, match=r"seed was 0 and is now 1; training\.epochs was 3 and is now 9"):
        begin(root, changed("training.epochs", 9) | {"seed": 1})


@pytest.mark.parametrize("free", [("scoring",), ("scoring.actors",)])
def test_a_free_field_may_change_and_is_kept(root, free):
    begin(root)
    RunStore(root).stage(0, "train").finish({"seconds": 1.0})
    begin(root, changed("scoring.actors", 5), free)
    assert RunStore(root).config()["scoring"] == {"actors": 5}


def test_a_field_that_a_stage_goes_by_first_is_free_until_that_stage_is_done(root):
    until = {"train": ("training",), "score": ("scoring",)}
    store = RunStore(root)
    with store:
        store.open(CONFIG, ())
        store.stage(None, "select").finish({"seconds": 1.0})
        for left in ("train/state.pt", "scores/part-00000.parquet"):
            Path(root, "rounds/000", left).parent.mkdir(parents=True)
            Path(root, "rounds/000", left).touch()
        store.open(changed("training.epochs", 9), (), until)
        assert store.config()["training"]["epochs"] == 9
        # An attempt under the former value is not gone on with; that of another stage is.
        assert not Path(root, "rounds/000/train").exists()
        assert Path(root, "rounds/000/scores/part-00000.parquet").exists()
        store.stage(0, "train").finish({"seconds": 1.0})
        with pytest.raises(UserError, match=r"training\.epochs was 9 and is now 3"):
            store.open(changed("scoring.actors", 5), (), until)
        assert Path(root, "rounds/000/scores/part-00000.parquet").exists()
        store.open(changed("training.epochs", 9) | {"scoring": {"actors": 5}}, (), until)
        assert not Path(root, "rounds/000/scores").exists()


def test_while_nothing_is_done_everything_may_change(root):
    begin(root)
    begin(root, changed("seed", 1))
    assert RunStore(root).config()["seed"] == 1


def test_a_directory_of_something_else_is_left_as_it_is(tmp_path):
    (tmp_path / "thesis").mkdir()
    with pytest.raises(UserError, match=r"'thesis' but no config\.yaml.*new or an empty"):
        begin(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_a_file_is_no_run(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("not a run")
    with pytest.raises(UserError, match=r"notes\.txt: is a file"):
        begin(str(file))


def test_a_place_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/run: cannot be written: .*Not a directory"):
        take_lock(tmp_path / "file/run", str(tmp_path / "file/run"))


def test_what_a_job_leaves_that_was_killed_at_once_is_no_obstacle(root):
    Path(root).mkdir(parents=True)
    Path(root, "run.lock").touch()
    Path(root, ".config.yaml.0123.partial").write_text("see")
    begin(root)
    assert RunStore(root).config() == CONFIG


@pytest.mark.parametrize(("text", "message"), [("a: [", "not valid YAML"), ("- a", "holds list, expected a mapping")])
def test_a_damaged_configuration_is_told(root, text, message):
    begin(root)
    Path(root, "config.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"config\.yaml: {message}"):
        begin(root)


def test_where_no_run_is_this_is_told(root):
    with pytest.raises(UserError, match="no run is there"):
        RunStore(root).config()


def test_the_status_lists_every_stage_in_order(root):
    store = RunStore(root)
    assert [status.stage for status in store.status()] == ["select", "label"]
    for round_index, name in ((None, "select"), (None, "label"), (0, "train"), (10, "train"), (2, "train")):
        store.stage(round_index, name).finish({"seconds": 1.0, "of": name})
    statuses = store.status()
    assert statuses[2] == StageStatus(0, "train", done=True, summary={"seconds": 1.0, "of": "train"})
    assert statuses[3] == StageStatus(0, "evaluate", done=False, summary=None)
    stages = ["train", "evaluate", "score", "select", "label"]
    assert [(status.round, status.stage) for status in statuses] == [
        *((None, name) for name in ("select", "label")),
        *((round_index, name) for round_index in (0, 2, 10) for name in stages),
    ]


def test_a_round_is_finished_when_it_has_said_what_to_label_next(root):
    store = RunStore(root)
    for round_index in (0, 1, 2, 1000):
        store.stage(round_index, "train").finish({"seconds": 1.0})
    for round_index in (0, 1, 1000):
        store.stage(round_index, "select").finish({"seconds": 1.0})
    assert store.finished_rounds() == [0, 1, 1000]


def test_two_jobs_never_work_on_one_run(root):
    with RunStore(root) as first:
        first.open(CONFIG, ())
        with pytest.raises(UserError, match=rf"{root}: another job"):
            begin(root)
        assert RunStore(root).status()  # looking on is allowed
        first.open(CONFIG, ())  # and so is opening what is open
    begin(root)


def test_a_killed_job_holds_no_run(root):
    program = (
        "import sys, time\n"
        "from hybridal_ray.run_store import RunStore\n"
        "store = RunStore(sys.argv[1])\n"
        "store.open({'seed': 0}, ())\n"
        "print('open', flush=True)\n"
        "time.sleep(60)\n"
    )
    job = subprocess.Popen([sys.executable, "-c", program, root], stdout=subprocess.PIPE, text=True)
    try:
        assert job.stdout is not None
        assert job.stdout.readline() == "open\n"
        with pytest.raises(UserError, match="another job"):
            begin(root, {"seed": 0})
    finally:
        job.kill()
        job.communicate()
    begin(root, {"seed": 0})


def test_where_the_file_system_knows_no_locks_the_job_goes_on(root, monkeypatch, caplog):
    def no_locks(*_: object) -> None:
        raise OSError("Function not implemented")

    monkeypatch.setattr("fcntl.flock", no_locks)
    begin(root)
    assert RunStore(root).config() == CONFIG
    assert "cannot be locked" in caplog.text


def test_a_run_may_be_named_by_a_file_uri(root):
    uri = Path(root).as_uri()
    with RunStore(uri) as store:
        store.open(CONFIG, ())
        store.stage(0, "select").finish({"seconds": 1.0})
        with pytest.raises(UserError, match="another job"):
            begin(root)
    assert RunStore(root).finished_rounds() == [0]


def test_a_run_may_lie_in_an_object_store(object_store):
    begin(object_store)
    store = RunStore(object_store)
    for round_index, name in ((None, "select"), (0, "train"), (0, "select"), (1, "train")):
        store.stage(round_index, name).finish({"seconds": 1.0})
    assert store.finished_rounds() == [0]
    done = [(status.round, status.stage) for status in store.status() if status.done]
    assert done == [(None, "select"), (0, "train"), (0, "select"), (1, "train")]
    begin(object_store, changed("scoring.actors", 5), free=("scoring",))
    with pytest.raises(UserError, match="seed was 0 and is now 1"):
        begin(object_store, changed("seed", 1))
    assert not any(name.endswith("run.lock") for name in MemoryFileSystem.store)
