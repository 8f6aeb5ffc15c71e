"""Oracles: the constants of the paper and of the method, one by one; trees changed by hand or by a made-up typo."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from hybridal_ray.config import FREE_FIELDS, OPTION_FIELDS, Config, load_config, parse_config
from hybridal_ray.errors import UserError
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings

MINIMAL = {"run": "runs/first", "pool": {"path": "pools/first"}}
CONFIGS = Path(__file__).parents[1] / "configs"
SHIPPED = sorted(set(CONFIGS.glob("*.yaml")) - set(CONFIGS.glob("compare_*.yaml")))


def at(config: BaseModel, dotted: str) -> Any:
    for name in dotted.split("."):
        config = getattr(config, name)
    return config


def fields_of(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted field, sections included."""
    fields = []
    for name, field in section.model_fields.items():
        fields.append(prefix + name)
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                fields += fields_of(kind, f"{prefix}{name}.")
    return fields


FIELDS = fields_of(Config)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    return path


def tree_with(dotted: str, value: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {"run": "r", "pool": {"path": "p"}}
    *sections, name = dotted.split(".")
    place = tree
    for section in sections:
        place = place.setdefault(section, {})
    place[name] = value
    return tree


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scoring.passes", 10),  # R
        ("scoring.foreground_threshold", 0.4),  # θ
        ("scoring.reading", "mean_of_log"),  # equation U as the report writes it
        ("scoring.reduction", "mean"),
        ("scoring.proximity_sigma", 8 / 3),  # σ_p, in video frames
        ("scoring.proximity_window", 4),
        ("scoring.spacing", "parts"),  # not the report's: docs/errata.md
        ("clustering.clusters", 5),  # K on UCF-101-24
        ("clustering.beta", 1e-6),
        ("training.loss.window", 2),  # W
        ("training.loss.temporal_sigma", 4 / 3),  # σ_t, in sampled frames
        ("training.loss.weighting", "stew"),
        ("training.loss.spatial_rule", "mean"),
        ("training.loss.spatial_low", 0.0),
        ("training.loss.spatial_high", 1.0),
        ("detector.clip_frames", 8),
        ("detector.clip_stride", 2),
        ("selection.strategy", "claus"),
        ("selection.start_strategy", "random"),
        ("budget.revisit_fraction", 0.0),
    ],
)
def test_defaults_are_the_constants_of_the_paper(field: str, value: Any) -> None:
    assert at(parse_config(MINIMAL, "here"), field) == value


@pytest.mark.parametrize(
    ("section", "settings"),
    [("training", OptimiserSettings), ("training.loss", LossSettings), ("clustering", ClusteringSettings)],
)
def test_defaults_of_training_are_not_other_ones(section: str, settings: type) -> None:
    configured = at(parse_config(MINIMAL, "here"), section)
    for field in dataclasses.fields(settings):
        assert getattr(configured, field.name) == field.default, field.name


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_configurations_that_come_with_the_package_are_valid(path: Path) -> None:
    load_config(path)


@given(field=st.sampled_from(FIELDS), data=st.data())
def test_a_mistyped_field_is_named_with_its_nearest(field: str, data: st.DataObject) -> None:
    *sections, name = field.split(".")
    assume(len(name) > 3)
    place = data.draw(st.integers(1, len(name) - 1))
    typo = data.draw(
        st.sampled_from([name[:place] + name[place + 1 :], name[:place] + "q" + name[place:], name + name[-1]])
    )
    dotted = ".".join([*sections, typo])
    siblings = {other.split(".")[-1] for other in FIELDS if other.split(".")[:-1] == sections}
    assume(typo not in siblings)
    with pytest.raises(UserError) as caught:
        parse_config(tree_with(dotted, 1), "run.yaml")
    assert str(caught.value) == f"run.yaml: {dotted}: no such field; did you mean {name!r}?"


def test_a_field_like_no_other_gets_no_hint() -> None:
    with pytest.raises(UserError, match=r"^here: training\.xyzzy: no such field$"):
        parse_config(tree_with("training.xyzzy", 1), "here")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("training.learning_rate", "fast", r"training\.learning_rate: .*number.*, found 'fast'"),
        ("training.learning_rate", float("inf"), r"training\.learning_rate: .*finite.*, found inf"),
        ("training.learning_rate", float("nan"), r"training\.learning_rate: .*, found nan"),
        ("training.loss.weighting", "stw", r"training\.loss\.weighting: .*'stew'.*, found 'stw'"),
        ("budget.start_videos", "lots", r"budget\.start_videos: .*integer.* or .*'all', found 'lots'"),
        ("scoring.actors", "many", r"scoring\.actors: .*integer.* or .*'auto', found 'many'"),
        ("scoring.actors", -1, r"scoring\.actors: .*greater than or equal to 0.* or .*'auto', found -1"),
        ("budget.start_videos", -3, r"budget\.start_videos: .*greater than 0.* or .*'all', found -3"),
        ("budget.start_frames_per_video", 0, r"budget\.start_frames_per_video: .*greater than 0.*, found 0"),
        ("detector.input_size", 70, r"detector\.input_size: .*multiple of 16, found 70"),
        ("scoring.foreground_threshold", 1.0, r"scoring\.foreground_threshold: .*less than 1, found 1\.0"),
        ("scoring.passes", None, r"scoring\.passes: .*integer, found None"),
        ("scoring.passes", True, r"scoring\.passes: Input should not be true or false, found True"),
        ("budget.start_videos", True, r"budget\.start_videos: .*not be true or false, found True"),
        ("budget.videos_per_round", [True], r"budget\.videos_per_round: .*not be true or false, found \[True\]"),
        ("training.betas", [True, False], r"training\.betas: .*not be true or false, found \[True, False\]"),
        ("training", True, r"training: expected a section with epochs, .*, found True"),
        ("oracle.faults", True, r"oracle\.faults: expected a section with box_jitter, .*, found True"),
        ("scoring.measure", True, r"scoring\.measure: .*'neg_log', 'entropy'.*, found True"),
        ("run", True, r"run: Input should be a valid string, found True"),
        ("budget.videos_per_round", [], r"budget\.videos_per_round: .*integer or List .* 1 item .*, found \[\]"),
        ("budget.videos_per_round", [3, 0], r"budget\.videos_per_round: .*integer.*, found \[3, 0\]"),
        ("training", 3, r"training: expected a section with epochs, steps_per_epoch, .*, found 3"),
        ("stopping.target", 0.5, r"stopping\.target: expected a section with metric, at_least, surely, found 0\.5"),
        ("training.workers", 3, r"training\.batch_size: 8 does not divide over training\.workers=3 and .*"),
        ("training.accumulate", 5, r"training\.batch_size: 8 does not divide over .* and training\.accumulate=5"),
        ("training.unlabelled", 0.06, r"training\.unlabelled: 0\.06 of training\.batch_size=8 are 0 clips; .*"),
        ("training.unlabelled", 0.95, r"training\.unlabelled: 0\.95 of training\.batch_size=8 are 8 clips; .*"),
        ("training.betas", [0.9, 1.0], r"training\.betas: found \[0\.9, 1\.0\]; expected numbers of .* below 1"),
        ("training.betas", [-0.1, 0.9], r"training\.betas: found \[-0\.1, 0\.9\]; expected numbers of at least 0 .*"),
        (
            "training.loss",
            {"spatial_low": 0.9, "spatial_high": 0.1},
            r"training\.loss\.spatial_low: found 0\.9; expected at most training\.loss\.spatial_high=0\.1",
        ),
        (
            "training.validation",
            {"patience": 3},
            r"training\.validation\.patience: found 3 while .*source=none .*; expected source=labelled or val",
        ),
        ("detector.feature_cache", "cache", r"detector\.feature_cache: .*training\.freeze_encoder=true.*"),
        ("seed", -1, r"seed: .*greater than or equal to 0, found -1"),
    ],
)
def test_errors_name_file_field_what_was_found_and_what_was_expected(file, field, value, message) -> None:
    file.write_text(yaml.safe_dump(tree_with(field, value)))
    with pytest.raises(UserError, match=rf"^{file}: {message}$"):
        load_config(file)


def test_workers_do_not_share_a_gpu() -> None:
    tree = tree_with("training", {"workers": 2, "gpus_per_worker": 0.5})
    with pytest.raises(UserError, match=r"^here: training\.gpus_per_worker: found 0\.5; expected whole GPUs where"):
        parse_config(tree, "here")
    tree["training"]["workers"] = 1
    assert parse_config(tree, "here").training.gpus_per_worker == 0.5


def test_workers_of_a_run_on_gpus_reserve_one() -> None:
    tree = {**MINIMAL, "device": "cuda", "scoring": {"gpus_per_actor": 1}}
    with pytest.raises(UserError, match=r"^here: device: 'cuda' needs workers that .* training\.gpus_per_worker is 0;"):
        parse_config(tree, "here")
    for sound in ({"workers": 0}, {"gpus_per_worker": 1}):
        parse_config({**tree, "training": sound}, "here")
    parse_config({**tree, "device": "cpu"}, "here")


def test_the_ends_of_what_is_allowed_are_allowed() -> None:
    training = {"betas": [0.0, 0.999], "loss": {"spatial_low": 0.5, "spatial_high": 0.5}}
    parse_config({**MINIMAL, "training": training}, "here")


def test_a_missing_field_is_named() -> None:
    with pytest.raises(UserError, match=r"^here: pool\.path: Field required$"):
        parse_config({"run": "r", "pool": {}}, "here")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"run: [", "not valid YAML"),
        (b"- run", "expected a mapping of fields, found list"),
        (b"", "expected a mapping of fields, found NoneType"),
        (b"run: \xff\xfe", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_by_name(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"^{file}: {message}"):
        load_config(file)


def test_a_missing_file_or_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UserError, match=rf"^{path}: cannot be read: "):
            load_config(path)


def test_overrides_are_yaml_applied_in_order(file: Path) -> None:
    overrides = [
        "training.learning_rate=5e-5",
        "training.loss.weighting=gaussian",
        "budget.start_videos=all",
        "budget.max_frames=200",
        "budget.max_frames=null",
        "detector.options={width: 8, dropout: 0.3}",
        "detector.options.width=24",
        "pool.demo.videos=40",
        "tracking.uri=http://127.0.0.1:5000/?a=b",
        "training.flip=false",
    ]
    config = load_config(file, overrides)
    assert config.training.learning_rate == 5e-5
    assert config.training.loss.weighting == "gaussian"
    assert (config.budget.start_videos, config.budget.max_frames) == ("all", None)
    assert config.detector.options == {"width": 24, "dropout": 0.3}
    assert config.pool.demo is not None
    assert (config.pool.path, config.pool.demo.videos) == ("pools/first", 40)
    assert config.tracking.uri == "http://127.0.0.1:5000/?a=b"
    assert config.training.flip is False
    assert config.training.epochs == parse_config(MINIMAL, "here").training.epochs


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", r"override 'training\.epochs': expected dotted\.key=value"),
        ("=3", r"override '=3': expected dotted\.key=value"),
        ("training.epochs=[", r"override 'training\.epochs=\[': the value is not valid YAML"),
        ("trainin.epochs=3", r".*: trainin: no such field; did you mean 'training'\?"),
        ("training.epochs=none", r".*: training\.epochs: .*, found 'none'"),
        ("run.name=first", r"run: found 'runs/first', expected a section: override 'run\.name=first' .*"),
    ],
)
def test_a_wrong_override_is_named(file: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        load_config(file, [override])


def test_a_value_in_place_of_a_section_is_refused_though_a_later_override_names_a_field_of_it(file: Path) -> None:
    """It would have wiped out what the file says of the section: its epochs would be the default's."""
    file.write_text(yaml.safe_dump({**MINIMAL, "training": {"epochs": 3}}))
    for value, found in (("fast", "'fast'"), ("[1]", r"\[1\]"), ("false", "False")):
        with pytest.raises(UserError, match=f"^training: found {found}, expected a section: override "):
            load_config(file, [f"training={value}", "training.workers=0"])
    assert load_config(file, ["training=null", "training.workers=0"]).training.workers == 0


def test_free_fields_are_real_fields() -> None:
    assert set(FIELDS) >= FREE_FIELDS


def test_what_shapes_results_is_not_free() -> None:
    shaping = {"seed", "training.epochs", "training.batch_size", "scoring.passes", "selection.strategy", "clustering"}
    free_sections = tuple(f"{field}." for field in FREE_FIELDS)
    assert not [field for field in shaping if field in FREE_FIELDS or field.startswith(free_sections)]


def test_the_tree_that_is_stored_reads_back_as_the_same_configuration() -> None:
    config = parse_config(tree_with("pool.demo", {"videos": 40}), "here")
    stored = yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))
    assert parse_config(stored, "there") == config


@pytest.mark.parametrize(
    ("root", "location", "expected"),
    [
        ("/data/hybridal", "runs/a", "/data/hybridal/runs/a"),
        ("/data/hybridal", "/elsewhere/a", "/elsewhere/a"),
        ("/data/hybridal", "s3://bucket/a", "s3://bucket/a"),
        ("/data/hybridal", "~/a", "/home/someone/a"),
        ("~/hybridal", "runs/a", "/home/someone/hybridal/runs/a"),
        ("s3://bucket/work", "runs/a", "s3://bucket/work/runs/a"),
        ("work", "runs/a", "{here}/work/runs/a"),
        (".", "runs/a", "{here}/runs/a"),
    ],
)
def test_locations_are_taken_below_root(
    root: str, location: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.chdir(tmp_path)
    assert parse_config({**MINIMAL, "root": root}, "here").locate(location) == expected.format(here=tmp_path)


@pytest.mark.parametrize(
    ("root", "own", "environment", "expected"),
    [
        ("/data", None, None, "sqlite:////data/mlflow.db"),
        ("/data", None, "http://server", "http://server"),
        ("/data", "http://mine", "http://server", "http://mine"),
        ("/data", "none", "http://server", None),
        ("s3://bucket/work", None, None, None),  # SQLite needs a disk
    ],
)
def test_where_tracking_goes(root, own, environment, expected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if environment is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", environment)
    config = parse_config({**MINIMAL, "root": root, "tracking": {"uri": own}}, "here")
    assert config.tracking_uri == expected


@pytest.mark.parametrize(("workers", "actors", "ray"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_ray_is_used_only_where_it_is_asked_for(workers: int, actors: int, ray: bool) -> None:
    config = parse_config({**MINIMAL, "training": {"workers": workers}, "scoring": {"actors": actors}}, "here")
    assert config.uses_ray is ray


def test_mappings_whose_keys_are_no_fields_of_ours() -> None:
    free = {"selection.options", "selection.start_options", "detector.options", "oracle.options"}
    assert free == OPTION_FIELDS


def test_the_file_of_a_comparison_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "compare.yaml").write_text("config: demo.yaml\narms: {random: {}}\n")
    with pytest.raises(UserError, match=r"compare\.yaml: has arms, so it is a comparison; `hybridal compare`"):
        load_config(tmp_path / "compare.yaml")
