"""What arms differ in. Oracle: small configurations told apart by hand."""

from hybridal_ray.comparison.settings import differing_settings


def tree(strategy: str, spacing: str, options: dict[str, str] | None = None, **more: object) -> dict[str, object]:
    selection = {"strategy": strategy, "options": options or {}}
    return {"run": strategy, "seed": 0, "rounds": 3, "scoring": {"spacing": spacing}, "selection": selection, **more}


def test_only_what_differs_is_told_and_what_most_arms_have_once() -> None:
    found = differing_settings(
        {
            "random": tree("random", "window"),
            "claus": tree("claus", "parts"),
            "wide": tree("claus", "window", {"frames": "random"}, rounds=[1, 2]),
            "core-set": tree("core_set", "window"),
            "badge": tree("badge", "window"),
        }
    )

    assert found.common == {"rounds": "3", "scoring.spacing": "window", "selection.options": "{}"}
    assert found.of_arm == {
        "random": {"selection.strategy": "random"},
        "claus": {"scoring.spacing": "parts", "selection.strategy": "claus"},
        "wide": {"rounds": "[1, 2]", "selection.strategy": "claus", "selection.options.frames": "random"},
        "core-set": {"selection.strategy": "core_set"},
        "badge": {"selection.strategy": "badge"},
    }


def test_where_a_run_lies_is_no_difference() -> None:
    found = differing_settings(
        {"one": {"run": "a", "seed": 1, "rounds": 2}, "two": {"run": "b", "seed": 2, "rounds": 2}}
    )

    assert found.of_arm == {"one": {}, "two": {}}
