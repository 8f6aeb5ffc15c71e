"""Oracle: the objects themselves, and messages written out in full."""

import collections
from typing import Any, Literal

import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.registry import check_options, nearest, resolve

KNOWN = {"claus": object(), "random": object()}


def test_a_registered_name_gives_what_is_registered() -> None:
    assert resolve("claus", KNOWN, field="selection.strategy") is KNOWN["claus"]


def test_a_dotted_path_gives_what_it_names() -> None:
    assert resolve("collections:OrderedDict", KNOWN, field="selection.strategy") is collections.OrderedDict
    assert resolve("os.path:join", {}, field="selection.strategy").__name__ == "join"


def test_an_unknown_name_is_refused_with_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        resolve("clause", KNOWN, field="selection.strategy")
    assert str(caught.value) == (
        "selection.strategy: no 'clause' is known (known: claus, random; or a dotted path package.module:Name)"
        "; did you mean 'claus'?"
    )


@pytest.mark.parametrize("name", ["no.such.module:Name", "collections:NoSuchName", ":Name", "collections:", "a b:c"])
def test_a_path_that_leads_nowhere_is_refused_by_field_and_name(name: str) -> None:
    with pytest.raises(UserError, match=f"^oracle.name: '{name}' cannot be imported: "):
        resolve(name, KNOWN, field="oracle.name")


def test_an_error_inside_the_users_own_module_is_not_swallowed(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_broken_strategy.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        resolve("own_broken_strategy:Best", KNOWN, field="selection.strategy")


def test_what_is_no_name_or_names_nothing_that_builds_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_constant.py").write_text("X = 3\n")
    (tmp_path / "own_misspelt.py").write_text("def F(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"^selection.strategy: 'own_constant:X' is 3, expected a class or function$"):
        resolve("own_constant:X", KNOWN, field="selection.strategy")
    with pytest.raises(UserError, match=r"cannot be imported: .*own_misspelt.py, line 1"):
        resolve("own_misspelt:F", KNOWN, field="selection.strategy")
    with pytest.raises(UserError, match=r"^selection.options.then: found 3, expected a name$"):
        resolve(3, KNOWN, field="selection.options.then")  # type: ignore[arg-type]  # out of a file


def made(given: int, width: int, depth: int | None = 3) -> None:
    """Takes one argument that is no option, and two that are."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widht": 3, "width": 3}, "o.widht: made has no such option (known: width, depth); did you mean 'width'?"),
        ({"given": 3, "width": 3}, "o.given: made has no such option (known: width, depth)"),
        ({"depth": 3}, "o.width: is missing; made cannot be built without it"),
    ],
)
def test_options_are_those_of_the_constructor(options: dict[str, int], message: str) -> None:
    with pytest.raises(UserError) as caught:
        check_options(made, "made", options, field="o", given=["given"])
    assert str(caught.value) == message
    check_options(made, "made", {"width": 3}, field="o", given=["given"])
    check_options(lambda **anything: None, "any", options, field="o")


class OfNoFile:
    """No value of YAML is one."""


def annotated(
    count: int = 1, share: float = 0.5, layers: tuple[int, ...] = (), how: Literal["a", "b"] = "a",
    own: OfNoFile | None = None, unknown: "NotDefinedAnywhere" = None, bare=None,  # noqa: F821
    remark: "in frames" = 1, remarks: list["in frames"] = (), elsewhere: "json.Foo" = 1,  # noqa: F722, F821
) -> None:  # fmt: skip
    """Takes options of the kinds that constructors have."""


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("count", "big", "Input should be a valid integer, found 'big'"),
        ("count", True, "Input should be a valid integer, found True"),
        ("count", 2.5, ".*integer.*, found 2.5"),
        ("share", "1e-3", "Input should be a valid number, found '1e-3'"),
        ("layers", [1, "x"], r"Input should be a valid integer, found \[1, 'x'\]"),
        ("how", "c", "Input should be 'a' or 'b', found 'c'"),
    ],
)
def test_an_option_of_another_type_is_refused_with_what_was_expected(option: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=f"^o.{option}: {message}$"):
        check_options(annotated, "annotated", {option: value}, field="o")


@pytest.mark.parametrize(
    "options",
    [
        {"count": 2, "share": 1, "layers": [1, 2], "how": "b"},
        {"own": "anything", "unknown": 1, "bare": [1]},
        {"count": OfNoFile()},
        {"remark": 3, "remarks": [3], "elsewhere": 3},
    ],
)
def test_an_option_of_its_type_passes_and_so_does_one_whose_type_says_nothing(options: dict[str, Any]) -> None:
    check_options(annotated, "annotated", options, field="o")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("clas", "; did you mean 'claus'?"), ("rnadom", "; did you mean 'random'?"), ("uncertainty", ""), ("", "")],
)
def test_only_a_near_name_is_hinted_at(name: str, hint: str) -> None:
    assert nearest(name, KNOWN) == hint
