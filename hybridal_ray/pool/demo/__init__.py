"""The demo pool: short videos of articulated figures, made on the spot, that resemble real pools where it matters.

Clips come in groups cut from one source, scenes are long-tailed, and boxes move as those of real videos do.
"""

from hybridal_ray.pool.demo.difficulty import DemoDifficulty
from hybridal_ray.pool.demo.sources import scene_of, scene_of_group
from hybridal_ray.pool.demo.writing import NAME, demo_tables, generate_demo_pool

__all__ = ["NAME", "DemoDifficulty", "demo_tables", "generate_demo_pool", "scene_of", "scene_of_group"]
