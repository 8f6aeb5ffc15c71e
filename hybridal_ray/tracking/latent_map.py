"""The latent map: where the videos of the pool lie in the detector's representation, and which were picked."""

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.decomposition import PCA

from hybridal_ray.tracking.run_reader import Latents
from hybridal_ray.tracking.style import FAINT, INK, cluster_colour

Plane = npt.NDArray[np.float64]


def project(
    values: npt.NDArray[np.floating], others: npt.NDArray[np.floating]
) -> tuple[Plane, Plane, tuple[float, float]]:
    """The first two principal components, decomposed exactly and with fixed signs: one input, one map.

    Args:
        values: (N, D), what the components are fitted to.
        others: (M, D), projected along; M may be 0.

    Returns:
        (N, 2) and (M, 2), and the share of the variance, in [0, 1], along each axis. Axes that
        the values do not have (N or D below 2, no variance) are 0.
    """
    planes = np.zeros((len(values), 2)), np.zeros((len(others), 2))
    shares = np.zeros(2)
    if (values != values[0]).any():
        count = min(2, *values.shape)
        components = PCA(n_components=count, svd_solver="full").fit(values.astype(np.float64))
        shares[:count] = components.explained_variance_ratio_
        for plane, points in zip(planes, (values, others), strict=True):
            if len(points):
                plane[:, :count] = components.transform(points.astype(np.float64))
    return *planes, (float(shares[0]), float(shares[1]))


def latent_map(
    latents: Latents,
    clusters: Mapping[str, int] | None,
    *,
    labelled: Collection[str],
    picked: Collection[str],
    centres: npt.NDArray[np.floating] | None = None,
    round_index: int = 0,
) -> Figure:
    """Scatter of the latents in two dimensions, coloured by cluster.

    Args:
        latents: Of N videos, all or a sample.
        clusters: Cluster of each video of the pool; None where the strategy has none.
        labelled: Videos that hold labels already: hollow.
        picked: Videos that the round picked: ringed.
        centres: (K, D), drawn as crosses; None where there are none.
        round_index: For the title.
    """
    if centres is None:
        centres = np.zeros((0, latents.values.shape[1]))
    plane, centre_plane, shares = project(latents.values, centres)
    figure = Figure(figsize=(7.6, 5.4), layout="constrained")
    axes = figure.add_subplot()
    of_video = [None if clusters is None else clusters.get(video_id) for video_id in latents.video_ids]
    for cluster in sorted(set(of_video), key=lambda cluster: -1 if cluster is None else cluster):
        members = [index for index, own in enumerate(of_video) if own == cluster]
        _draw_videos(axes, plane, members, latents, cluster_colour(cluster), labelled, picked)
    for cluster, (x, y) in enumerate(centre_plane):
        axes.scatter(x, y, marker="X", s=130, color=cluster_colour(cluster), edgecolor=INK, linewidth=1.3, zorder=5)
    drawn = len(latents.video_ids)
    sample = "" if drawn == latents.videos else f"{drawn:,} of {latents.videos:,}; "
    axes.set_title(f"Latents of the training videos ({sample}round {round_index})")
    axes.set_xlabel(f"first component ({100 * shares[0]:.0f} % of the variance)")
    axes.set_ylabel(f"second component ({100 * shares[1]:.0f} %)")
    sizes = Counter() if clusters is None else Counter(clusters.values())
    _add_legend(axes, sizes, with_centres=len(centre_plane) > 0)
    return figure


def _draw_videos(
    axes: Axes,
    plane: Plane,
    members: list[int],
    latents: Latents,
    colour: str,
    labelled: Collection[str],
    picked: Collection[str],
) -> None:
    hollow = [index for index in members if latents.video_ids[index] in labelled]
    filled = [index for index in members if latents.video_ids[index] not in labelled]
    ringed = [index for index in members if latents.video_ids[index] in picked]
    axes.scatter(plane[filled, 0], plane[filled, 1], s=26, color=colour, alpha=0.55, linewidth=0, zorder=2)
    axes.scatter(plane[hollow, 0], plane[hollow, 1], s=26, facecolor="white", edgecolor=colour, linewidth=1.2, zorder=3)
    axes.scatter(plane[ringed, 0], plane[ringed, 1], s=78, facecolor="none", edgecolor=INK, linewidth=1.5, zorder=4)


def _add_legend(axes: Axes, sizes: Mapping[int, int], *, with_centres: bool) -> None:
    """Names the clusters with their sizes in the whole pool, and the marks."""
    handles = [
        _legend_dot(f"cluster {cluster}  ({size})", cluster_colour(cluster), "none")
        for cluster, size in sorted(sizes.items())
    ]
    handles.append(_legend_dot("unlabelled", FAINT, "none"))
    handles.append(_legend_dot("labelled already", "white", FAINT))
    handles.append(_legend_dot("picked in this round", "none", INK, size=9))
    if with_centres:
        handles.append(_legend_dot("cluster centre", FAINT, INK, size=9, marker="X"))
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5))


def _legend_dot(label: str, face: str, edge: str, size: float = 6, marker: str = "o") -> Line2D:
    dot = Line2D([], [], linestyle="", label=label, marker=marker, markersize=size)
    dot.set(markerfacecolor=face, markeredgecolor=edge)
    return dot
