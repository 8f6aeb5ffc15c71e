"""Whether a pool may take the place of one that is there: importing again completes a pool, and loses no other."""

from collections.abc import Mapping, Sequence

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import load_tubes


def refuse_to_replace(root: str, name: str, classes: Sequence[str], *, labelled: bool) -> None:
    """Stops before a pool of something else, or the only copy of somebody's labels, is overwritten.

    Args:
        root: Directory or URI of the new pool.
        name: Of the new pool.
        classes: Of the new pool.
        labelled: Whether it has boxes, or may have some.

    Raises:
        UserError: A pool of another name or of other classes is there, or one with boxes where the new one has none.
    """
    location = storage.join(root, "pool.json")
    if not storage.exists(location):
        return
    content = storage.read_json(location)
    found = content if isinstance(content, Mapping) else {}
    for field, new in (("name", name), ("classes", list(classes))):
        if found.get(field) != new:
            raise UserError(
                f"{location}: a pool is there already, its {field} {found.get(field)!r}, that of the new one {new!r}; "
                "expected the same, or a place without a pool"
            )
    if not labelled and storage.exists(storage.join(root, "tubes.parquet")) and (boxes := _boxes(root)):
        raise UserError(
            f"{location}: a pool with {boxes} labelled boxes is there already, and the new one has none; expected a "
            "place without a pool"
        )


def _boxes(root: str) -> int:
    return int(load_tubes(root, ["frame"]).num_rows)
