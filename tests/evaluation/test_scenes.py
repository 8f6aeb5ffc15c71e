"""Oracles: scikit-learn's nearest neighbour; a dictionary that is written in parts."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from hybridal_ray.evaluation.scenes import nearest_centre, read_scenes, write_scenes


@given(st.integers(0, 50), st.integers(1, 4), st.integers(1, 6))
def test_a_video_belongs_to_the_centre_nearest_to_its_mean_clip(seed: int, batches: int, clusters: int) -> None:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(clusters, 5)).astype(np.float32)
    latents = [generator.normal(size=(generator.integers(1, 4), 5)).astype(np.float32) for _ in range(batches)]
    mean = np.mean([clip for batch in latents for clip in batch], axis=0, dtype=np.float64)
    expected = NearestNeighbors(n_neighbors=1).fit(centres).kneighbors(mean[None], return_distance=False)
    assert nearest_centre(latents, centres) == expected.item()


def test_ties_go_to_the_lower_cluster() -> None:
    assert nearest_centre([np.zeros((1, 2), dtype=np.float32)], np.array([[0, 1], [1, 0]], dtype=np.float32)) == 0


def test_clusters_come_back_from_all_parts_and_a_part_done_again_replaces_itself(tmp_path: Path) -> None:
    place = str(tmp_path / "scenes")
    assert read_scenes(place) == {}
    write_scenes(place, {"a": 2, "b": 0})
    write_scenes(place, {"c": 1})
    write_scenes(place, {"b": 0, "a": 3})
    assert read_scenes(place) == {"a": 3, "b": 0, "c": 1}
    assert len(list((tmp_path / "scenes").iterdir())) == 2
