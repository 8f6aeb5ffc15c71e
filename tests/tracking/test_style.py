"""Oracle: bytes of two drawings; matplotlib's own settings before and after."""

import matplotlib as mpl
from matplotlib.figure import Figure

from hybridal_ray.tracking.style import CLUSTER_COLOURS, UNCLUSTERED, cluster_colour, to_png


def draw() -> Figure:
    figure = Figure(figsize=(2, 2))
    figure.add_subplot().plot([0, 1], [1, 0])
    return figure


def test_equal_figures_are_equal_files_and_no_setting_leaks() -> None:
    before = dict(mpl.rcParams)
    first = to_png(draw)
    assert first is not None
    assert first.startswith(b"\x89PNG")
    assert first == to_png(draw)
    assert dict(mpl.rcParams) == before


def test_nothing_to_draw() -> None:
    assert to_png(lambda: None) is None


def test_clusters_keep_their_colour_and_begin_anew() -> None:
    assert cluster_colour(None) == UNCLUSTERED
    assert cluster_colour(1) == cluster_colour(1 + len(CLUSTER_COLOURS)) != cluster_colour(2)
