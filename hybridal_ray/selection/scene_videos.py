"""Videos of all scenes in proportion, scenes being told by latents that were there before any training."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.selection.budgets import shares_on_top
from hybridal_ray.selection.cluster_file import cluster_rows
from hybridal_ray.selection.cluster_videos import NOWHERE, Inside, inside_or_refused, refuse_not_counts
from hybridal_ray.selection.clustering import assign_to_centres
from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.latents import latents_of
from hybridal_ray.selection.pool_rows import PoolRows
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.rules import Lot
from hybridal_ray.selection.score_order import by_score
from hybridal_ray.selection.streamed_centres import centres_of_stream

MOST_SCENES = 500


class SceneVideos:
    """Gives each scene videos in proportion to its size, labelled ones counted; the most uncertain or random ones.

    CLAUS with another idea of a cluster: k-means over the latents that `selection.start_latents` names, such as what
    videos look like, in as many clusters as videos will have labels. The detector's own latent is trained to forget
    clothes and backdrops, so that the clips of one source, of which one label tells much, do not lie together in it.
    Where the pool's tables tell the sources, `SourceVideos` need not guess. Cost: one pass of decoding a run for
    ``appearance``; a scoring pass unless ``inside: random``; a few numbers a video in memory, and the start latents as
    far as they fit, mini-batch k-means beyond; O(V·K·D) a step of k-means.

    Args:
        scenes: K; None takes as many as labelled videos and videos to buy together, `MOST_SCENES` at most.
        restarts: Runs of k-means, of which the best counts.
        inside: Who is taken of a scene: ``uncertainty`` or ``random``.

    Raises:
        UserError: An option makes no sense.
    """

    needs_start_latents = True

    def __init__(self, scenes: int | None = None, restarts: int = 3, inside: Inside = "uncertainty") -> None:
        refuse_not_counts({"scenes": 1 if scenes is None else scenes, "restarts": restarts})
        self.scenes = scenes
        self.restarts = restarts
        self.inside = inside_or_refused(inside)
        self.needs_scores = inside == "uncertainty"
        self.needs_videos = not self.needs_scores
        self.columns: Sequence[str] = ("video_score",) if self.needs_scores else ()

    def choose(self, pool: PoolRows, request: SelectionRequest) -> list[Lot]:
        """See `VideoRule`.

        Raises:
            UserError: No video has a start latent, or they cannot be read.
            ValueError: The request holds no start latents.
        """
        (_, new_count), _ = pool.kinds(request)
        scenes = self.scenes or min(max(int(pool.labelled.sum()) + new_count, 1), MOST_SCENES)
        scene_of = _scenes_of(pool, request, scenes, self.restarts)
        known = scene_of != NOWHERE
        sizes = np.bincount(scene_of[known]).tolist()
        held = np.bincount(scene_of[known & pool.labelled], minlength=len(sizes)).tolist()
        rng = np.random.default_rng(request.seed)
        lots = []
        for places, count in pool.kinds(request, known):
            members = [places[scene_of[places] == scene] for scene in range(len(sizes))]
            shares = shares_on_top(count, sizes, held, [len(of_scene) for of_scene in members])
            for scene, (of_scene, share) in enumerate(zip(members, shares, strict=True)):
                ranked = (
                    by_score(pool, of_scene, balance_classes=False) if self.needs_scores else rng.permutation(of_scene)
                )
                lots.append(Lot([int(place) for place in ranked[:share]], scene))
        return lots


def scenes(
    scenes: int | None = None, restarts: int = 3, inside: Inside = "uncertainty", frames: str = "scored"
) -> Combined:
    """Strategy ``scenes``: the most uncertain videos, in proportion of each scene.

    After Rana and Rawat, CVPR 2023. Cost: as `SceneVideos`.
    """
    return Combined(SceneVideos(scenes, restarts, inside), frame_rule(frames))


def _scenes_of(pool: PoolRows, request: SelectionRequest, scenes: int, restarts: int) -> npt.NDArray[np.int64]:
    """(V,), the scene of each video of the pool, `NOWHERE` without a latent; tells them where they are to be told."""
    if request.start_latents is None:
        raise ValueError("the strategy needs start latents, and there are none")
    memory_bytes = request.memory_mib * 2**20
    latents = partial(latents_of, request.start_latents)
    centres = centres_of_stream(latents, scenes, request.seed, restarts, memory_bytes)
    found = np.full(len(pool.table), NOWHERE)
    if centres is None:
        raise UserError("selection.start_latents: no video has a latent, so there are no scenes to choose from")
    ids = pool.table["video_id"].combine_chunks()
    with cluster_rows(request.clusters_to, memory_bytes) as told:
        for video_ids, of_batch in latents():
            nearest = assign_to_centres(of_batch, centres)
            told.add(video_ids, nearest)
            places = pc.index_in(video_ids, value_set=ids)
            here = pc.is_valid(places).to_numpy()
            found[places.drop_null().to_numpy()] = nearest[here]
    return found
