"""What a file may say, and what each shipped one says."""

import datetime
from pathlib import Path

import pytest
from tiny_comparisons import tiny_comparison, write_comparison

from hybridal_ray.comparison.comparison_file import FULL, load_comparison
from hybridal_ray.comparison.work import plan_runs
from hybridal_ray.config import Config
from hybridal_ray.errors import UserError
from hybridal_ray.section import fields_below

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted(CONFIGS.glob("compare_*.yaml"))


def test_there_are_shipped_comparisons() -> None:
    names = [
        "ablations", "convergence", "convergence_demo", "demo", "first_batch", "headroom", "jhmdb_21", "long_tail",
        "losses", "noise",
    ]  # fmt: skip
    assert [file.stem.removeprefix("compare_") for file in SHIPPED] == names


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_arm_of_a_shipped_comparison_is_a_configuration(file: Path, tmp_path: Path) -> None:
    comparison = load_comparison(file, [f"root={tmp_path}"])
    runs = plan_runs(comparison)

    assert len(runs) == comparison.seeds * (len(comparison.arms) + (comparison.full is not None))
    assert len({run.root for run in runs}) == len(runs)
    assert all(not run.config.uses_ray for run in runs)
    assert {run.config.tracking.experiment for run in runs} == {comparison.name}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_no_two_arms_of_a_shipped_comparison_are_the_same(file: Path) -> None:
    comparison = load_comparison(file)
    dumps = [comparison.config_of(arm, 0).model_dump(exclude={"run"}) for arm in comparison.arms]

    assert all(one != other for index, one in enumerate(dumps) for other in dumps[:index])


def test_runs_are_planned_seed_by_seed(tmp_path: Path) -> None:
    comparison = tiny_comparison(tmp_path, full={"seeds": 1})

    assert [run.name for run in plan_runs(comparison)] == ["random-0", "claus-0", "full-0", "random-1", "claus-1"]


def test_some_arms_can_be_run_first_and_are_the_same_runs_later(tmp_path: Path) -> None:
    file = write_comparison(tmp_path, arms={name: {} for name in ("random", "claus", "clusters")})
    every = load_comparison(file)
    some = load_comparison(file, ["only=[clusters, random]"])

    assert [run.name for run in plan_runs(some)] == ["random-0", "clusters-0", "random-1", "clusters-1"]
    assert [run for run in plan_runs(every) if run.arm != "claus"] == plan_runs(some)


def test_full_supervision_buys_every_label_in_one_round(tmp_path: Path) -> None:
    config = tiny_comparison(tmp_path, full={"overrides": {"training": {"epochs": 9}}}).config_of(FULL, 3)

    assert (config.budget.start_videos, config.budget.start_frames_per_video) == ("all", "all")
    assert (config.rounds, config.seed, config.training.epochs) == (1, 3, 9)


def test_no_budget_of_the_arms_cuts_full_supervision(tmp_path: Path) -> None:
    budget = {"budget": {"max_frames": 5, "max_videos": 2, "max_seconds": 60}}
    config = tiny_comparison(tmp_path, overrides=budget, full={}).config_of(FULL, 0)

    assert (config.budget.max_frames, config.budget.max_videos, config.budget.max_seconds) == (None, None, None)


def test_full_supervision_has_no_first_batch_to_choose(tmp_path: Path) -> None:
    typical = {"selection": {"start_strategy": "typiclust", "start_options": {"neighbours": 3}}}
    selection = tiny_comparison(tmp_path, overrides=typical, full={}).config_of(FULL, 0).selection

    assert (selection.start_strategy, selection.start_options) == ("random", {})


def test_full_supervision_can_be_what_the_arms_are_compared_with(tmp_path: Path) -> None:
    comparison = tiny_comparison(tmp_path, full={}, reference=FULL, only=["claus"])

    assert (comparison.reference, list(comparison.arms)) == (FULL, ["claus"])


def test_overrides_as_mapping_dotted_mapping_or_list_are_the_same(tmp_path: Path) -> None:
    arms = {
        "a": {"overrides": {"scoring": {"passes": 7}, "selection": {"options": {}}}},
        "b": {"overrides": {"scoring.passes": 7, "selection.options": {}}},
        "c": {"overrides": ["scoring.passes=7", "selection.options={}"]},
    }
    comparison = tiny_comparison(tmp_path, arms=arms, reference="a")
    dumps = [comparison.config_of(arm, 0).model_dump(exclude={"run"}) for arm in arms]

    assert dumps[0] == dumps[1] == dumps[2]
    assert comparison.config_of("a", 0).scoring.passes == 7
    # A nested mapping changes what it names and leaves the rest of the section.
    assert comparison.config_of("a", 0).scoring.foreground_threshold == 0.1


def test_later_overrides_win(tmp_path: Path) -> None:
    file = write_comparison(
        tmp_path,
        overrides={"scoring.passes": 3, "training.epochs": 3},
        arms={"random": {"overrides": {"scoring.passes": 5}}},
    )
    config = load_comparison(file, ["training.epochs=4", "seeds=7"]).config_of("random", 0)

    assert (config.scoring.passes, config.training.epochs) == (5, 4)
    assert load_comparison(file, ["seeds=7"]).seeds == 7


def test_values_are_the_same_as_in_a_file_of_a_run(tmp_path: Path) -> None:
    """Oracle: what YAML itself reads."""
    options = {
        "dropout": 0.00001,
        "since": datetime.date(2020, 1, 1),
        "name": "films🎬: 'a'\nb",
        "much": 1e20,
        "no": None,
    }
    place = tmp_path / "films🎬"
    place.mkdir()
    comparison = tiny_comparison(place, arms={"random": {"overrides": {"selection.options": options}}})
    config = comparison.config_of("random", 0)

    assert config.selection.options == options
    assert (config.root, config.run) == (str(place), f"{place}/comparisons/tiny/runs/random-0")


def test_keys_of_an_option_are_not_taken_apart(tmp_path: Path) -> None:
    weights = {"listen to (e.g., music)": 2.0, "a=b": 1.0, 3: 0.5}
    arms = {"random": {"overrides": {"selection": {"options": {"weights": weights, "more": {"a-b": 1}}}}}}
    config = tiny_comparison(tmp_path, arms=arms).config_of("random", 0)

    assert config.selection.options == {"weights": weights, "more": {"a-b": 1}}


def test_overrides_of_every_arm_may_be_given_on_the_command_line(tmp_path: Path) -> None:
    comparison = load_comparison(write_comparison(tmp_path), ["overrides={scoring: {passes: 7}}", "rounds=3"])
    assert (comparison.config_of("claus", 0).scoring.passes, comparison.config_of("claus", 0).rounds) == (7, 3)


def test_a_seed_may_have_a_pool_of_its_own(tmp_path: Path) -> None:
    pool = {"path": "pools/demo_{seed}", "demo": {"videos": 40, "seed": "{seed}"}}
    comparison = tiny_comparison(tmp_path, overrides={"pool": pool}, arms={"random": {}})
    for seed in (0, 3):
        found = comparison.config_of("random", seed).pool
        assert found.demo is not None
        assert (found.path, found.demo.seed) == (f"pools/demo_{seed}", seed)


def test_name_and_place_come_from_the_file_where_not_given(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"root: {tmp_path}\nconfig: {CONFIGS}/demo.yaml\narms: {{random: {{}}}}\n")
    comparison = load_comparison(file)

    assert comparison.name == "mine"
    assert comparison.directory == f"{tmp_path}/comparisons/mine"
    assert comparison.run_directory("random", 2) == f"{tmp_path}/comparisons/mine/runs/random-2"


def test_the_root_of_the_base_run_holds_where_none_is_given(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(f"root: {tmp_path}/kept\npool: {{path: pool}}\n")
    file = tmp_path / "mine.yaml"
    file.write_text("config: base.yaml\narms: {random: {}}\n")
    comparison = load_comparison(file)

    assert comparison.root == comparison.config_of("random", 0).root == f"{tmp_path}/kept"
    assert comparison.directory == f"{tmp_path}/kept/comparisons/mine"
    assert load_comparison(file, [f"root={tmp_path}/other"]).root == f"{tmp_path}/other"
    (tmp_path / "base.yaml").write_text("pool: {path: pool}\n")
    assert load_comparison(file).root == "~/hybridal"


def test_a_misspelt_override_is_looked_for_among_the_fields_of_both(tmp_path: Path) -> None:
    file = write_comparison(tmp_path)
    for override, meant in (("sedes=2", "seeds"), ("metrcs=[x]", "metrics"), ("ruonds=2", "rounds")):
        with pytest.raises(UserError, match=rf": no such field; did you mean '{meant}'\?$"):
            load_comparison(file, [override])


def test_every_field_of_a_run_can_be_an_override(tmp_path: Path) -> None:
    """As `hybridal fields` lists them; a value may be refused, the name never."""
    file, refused = write_comparison(tmp_path, arms={"random": {}}), []
    for name, _ in fields_below(Config):
        try:
            load_comparison(file, [f"{name}=157"])
        except UserError as error:
            refused += [name] if "no such field" in str(error) else []
    assert refused == []
    assert load_comparison(file, ["budget.videos_per_round=157"]).config_of("random", 0).budget.videos_in(0) == 157


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sedes": 3}, "sedes: no such field; did you mean 'seeds'?"),
        ({"full": {"overides": {}}}, "full.overides: no such field; did you mean 'overrides'?"),
        ({"arms": {"random": {"override": {}}}}, "arms.random.override: no such field; did you mean 'overrides'?"),
        ({"reference": "ranndom"}, "reference: no arm 'ranndom' (arms: random, claus); did you mean 'random'?"),
        ({"reference": "full"}, "reference: no arm 'full' (arms: random, claus)"),
        ({"arms": {"a/b": {}}}, "arms.a/b: expected letters"),
        ({"arms": {"full": {}}, "reference": "full"}, "arms.full: the name stands for full supervision"),
        ({"only": ["random", "klaus"]}, "only: no arm 'klaus' (arms: random, claus); did you mean 'claus'?"),
        ({"only": ["claus"]}, "only: expected the reference 'random' too"),
        ({"only": []}, "only: Tuple should have at least 1 item"),
        ({"arms": {}}, "arms: Dictionary should have at least 1 item"),
        ({"seeds": 0}, "seeds: Input should be greater than 0, found 0"),
        ({"overrides": {"scoring.pases": 3}}, "scoring.pases: no such field; did you mean 'passes'?"),
        (
            {"overrides": 5},
            "tiny.yaml: overrides: found 5, expected a mapping of fields, or a list of dotted.key=value",
        ),
        ({"overrides": False}, "tiny.yaml: overrides: found False, expected a mapping"),
        ({"overrides": "seed=1"}, "tiny.yaml: overrides: found 'seed=1', expected a mapping"),
        ({"arms": {"random": {"overrides": "seed=1"}}}, "arms.random.overrides: "),
        ({"full": True}, "full: Input should be a valid dictionary"),
        ({"seeds": True}, "seeds: Input should not be true or false, found True"),
        ({"targets": [True]}, "targets: Input should not be true or false, found [True]"),
        ({"overrides": ["scoring"]}, "override 'scoring': expected dotted.key=value"),
        (
            {"arms": {"random": {"overrides": {"scoring": "bald"}}}},
            "arm 'random': scoring: found 'bald', expected",
        ),
        (
            {"full": {"overrides": {"evaluation.split": "val"}}},
            "arm 'full': evaluation.split is 'val', expected 'test'",
        ),
        ({"config": "gone.yaml"}, "gone.yaml: cannot be read"),
        ({"overrides": ["seed=3"]}, "overrides: seed cannot be set, for the runs of an arm have the seeds 0 to"),
        ({"arms": {"random": {"overrides": {"training.workers": 2}}}}, "arm 'random': training.workers cannot be set"),
        ({"full": {"overrides": {"run": "runs/full"}}}, "arm 'full': run cannot be set"),
        ({"overrides": ["training={workers: 2}"]}, "overrides: training.workers cannot be set"),
        ({"metrics": ["frame_map@0.6"]}, "metrics: no figure 'frame_map@0.6' is known"),
        ({"metrics": ["ava/video_map@0.5"]}, "metrics: no figure 'ava/video_map@0.5' is known"),
        ({"metrics": ["act/frame_mpa@0.5"]}, "; did you mean 'act/frame_map@0.5'?"),
        ({"targets": [2]}, "targets.0: Input should be less than or equal to 1, found 2"),
        ({"targets": [0.9, 0]}, "targets.1: Input should be greater than 0, found 0"),
    ],
)
def test_what_is_wrong_is_named(fields: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        tiny_comparison(tmp_path, **fields)

    assert message in str(caught.value)


def test_the_arm_with_a_wrong_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"arm 'worse': .*scoring\.passes"):
        tiny_comparison(tmp_path, arms={"random": {}, "worse": {"overrides": {"scoring.passes": 0}}})


def test_the_file_of_a_run_is_no_comparison(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("rounds: 2\n")
    with pytest.raises(UserError, match=r"run\.yaml: has no arms, so it is no comparison; `hybridal run --config`"):
        load_comparison(tmp_path / "run.yaml")
