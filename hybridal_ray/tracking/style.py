"""One look for all figures: colours, type, and the way they become PNG files."""

import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#22272E"
FAINT = "#8A929C"
GRID = "#E4E7EB"
BLUE, ORANGE, GREEN = "#2F6DB5", "#DD7A2B", "#3C9A6B"

# Ten hues of similar lightness that stay apart for most colour-blind readers; further clusters begin anew.
CLUSTER_COLOURS = (
    BLUE, ORANGE, GREEN, "#B8475A", "#7B62A8", "#2FA3B5", "#BFA028", "#A0623A", "#D275AE", "#5D7183",
)  # fmt: skip
UNCLUSTERED = "#6B7785"

_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}


def cluster_colour(cluster: int | None) -> str:
    """The colour of a cluster, the same in every figure; grey where there is none."""
    return UNCLUSTERED if cluster is None else CLUSTER_COLOURS[cluster % len(CLUSTER_COLOURS)]


def to_png(draw: Callable[[], Figure | None], *, dots_per_inch: int = 150) -> bytes | None:
    """Draws a figure in the common style.

    Args:
        draw: Makes the figure, or None where there is nothing to show; called with the style in force.
        dots_per_inch: Resolution.

    Returns:
        A PNG file, or None where `draw` gave none; equal figures give equal bytes.
    """
    with mpl.rc_context(_STYLE):
        figure = draw()
        if figure is None:
            return None
        FigureCanvasAgg(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dots_per_inch, metadata={"Software": None})
        return buffer.getvalue()
