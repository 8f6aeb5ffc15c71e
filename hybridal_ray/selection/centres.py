"""The centres that videos are sorted by: the detector's own, or those that k-means finds in the pool."""

from functools import partial

import numpy as np
import numpy.typing as npt

from hybridal_ray.selection.latents import latents_of
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.streamed_centres import centres_of_stream


def centres_of(request: SelectionRequest, clusters: int | None, restarts: int) -> npt.NDArray[np.floating] | None:
    """The centres for a selection.

    Those of the detector are as many as `clustering.clusters`, and stand where its labelled videos are; k-means of the
    pool also finds what nothing of is labelled yet, and may have more centres than there are labelled videos.

    Args:
        request: With scores.
        clusters: K of k-means over the latents of the pool; None takes the detector's centres, and as many of
            k-means as the request says where it has none.
        restarts: Runs of k-means, of which the best counts.

    Returns:
        (K, D), or None where no video has a latent.

    Raises:
        UserError: The scores cannot be read, or hold latents that are no numbers.
    """
    assert request.scores is not None
    if clusters is None and request.centres is not None:
        return request.centres
    latents, memory_bytes = partial(latents_of, request.scores), request.memory_mib * 2**20
    return centres_of_stream(latents, clusters or request.clusters, request.seed, restarts, memory_bytes)
