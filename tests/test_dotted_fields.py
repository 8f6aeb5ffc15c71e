"""Oracle: trees and their fields, written out by hand."""

from hybridal_ray.dotted_fields import leaves, without

TREE = {"a": 1, "b": {"c": [1, {"d": 2}], "e": {}, "f": {"g": None}}, "bc": {"h": 3}}


def test_lists_and_empty_mappings_are_fields_and_so_is_a_mapping_that_is_to_stay_whole() -> None:
    assert list(leaves(TREE)) == [("a", 1), ("b.c", [1, {"d": 2}]), ("b.e", {}), ("b.f.g", None), ("bc.h", 3)]
    assert dict(leaves(TREE, "x.", whole={"x.b.f"}))["x.b.f"] == {"g": None}


def test_a_section_that_is_left_out_takes_its_fields_along_and_no_other_of_like_name() -> None:
    assert without(leaves(TREE), {"b", "a"}) == {"bc.h": 3}
    assert without(leaves(TREE), {"b.f"}).keys() == {"a", "b.c", "b.e", "bc.h"}
