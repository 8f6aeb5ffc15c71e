"""Backdrops: what is behind the figures of a source, the same in all its clips.

A backdrop is a picture larger than a frame, for the camera to move over: (`CANVAS`, `CANVAS`, 3) float32, RGB,
0-255, its middle being the point (0, 0) of the scene.
"""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from hybridal_ray.pool.demo.figures import Floats
from hybridal_ray.pool.demo.sources import BACKDROP_STREAM, Source, stream

Picture = npt.NDArray[np.float32]

CANVAS = 176  # pixels, height and width
_TEXTURES = ("bricks", "stripes", "checks", "foliage")


def paint_backdrop(source: Source, seed: int) -> Picture:
    """Paints a wall and a floor, and what the kind of scene puts there."""
    rng = stream(seed, source.index, BACKDROP_STREAM)
    y, x = np.mgrid[:CANVAS, :CANVAS] + 0.5 - CANVAS / 2
    horizon = rng.uniform(10, 24)
    floor = np.clip(source.backdrop * rng.uniform(0.62, 0.85) + rng.normal(0, 10, 3), 30, 230)
    on_floor = np.clip(y - horizon + 0.5, 0, 1)[..., None]
    wall_light = 1.06 - 0.16 * np.hypot(x - rng.uniform(-40, 40), y + 40)[..., None] / CANVAS
    floor_light = 0.92 + 0.16 * np.clip((y - horizon) / 60, 0, 1)[..., None]
    wall = source.backdrop * wall_light
    textured = source.scene == "textured" or (source.scene in ("dark", "crowded") and rng.random() < 0.5)
    if textured:
        wall = wall + _texture(rng, x, y)
        floor = floor + rng.uniform(5, 14) * np.sign(np.sin((x * 0.4 + y) / rng.uniform(2.5, 5)))[..., None]
    picture = wall * (1 - on_floor) + floor * floor_light * on_floor
    picture *= 1 - 0.25 * np.exp(-(((y - horizon) / 1.6) ** 2))[..., None]
    if source.scene == "cluttered":
        _clutter(rng, picture, x, y, horizon)
    picture += 2.0 * gaussian_filter(rng.normal(0, 1, (CANVAS, CANVAS)), 1.0)[..., None]
    return gaussian_filter(picture, (0.5, 0.5, 0)).clip(0, 255).astype(np.float32)


def _texture(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """A pattern to be added to a wall, (CANVAS, CANVAS, 3), a few tens of grey levels strong."""
    kind = str(rng.choice(_TEXTURES))
    size = rng.uniform(7, 13)
    if kind == "bricks":
        row = np.floor(y / size)
        joint = (y % size < 1.5) | ((x + (row % 2) * size) % (2 * size) < 1.5)
        column = np.floor((x + (row % 2) * size) / (2 * size))
        pattern = np.where(joint, -1.0, 0.5 * np.sin(12.9898 * row + 78.233 * column))
    elif kind == "stripes":
        pattern = np.clip(3 * np.sin(2 * np.pi * (x + rng.uniform(-0.3, 0.3) * y) / size), -1, 1)
    elif kind == "checks":
        pattern = np.clip(4 * np.sin(np.pi * x / size) * np.sin(np.pi * y / size), -1, 1)
    else:
        leaves = gaussian_filter(rng.normal(0, 1, x.shape), rng.uniform(1.5, 2.5))
        pattern = np.clip(1.5 * leaves / leaves.std(), -2, 2) / 1.5
    return pattern[..., None] * rng.uniform(14, 26) * (1 + rng.normal(0, 0.25, 3))


def _clutter(rng: np.random.Generator, picture: Floats, x: Floats, y: Floats, horizon: float) -> None:
    """Covers the picture with furniture, pictures, balls and posts, in colours that people wear too."""
    for _ in range(rng.integers(22, 34)):
        centre_x, centre_y = rng.uniform(-80, 80), horizon + rng.uniform(-75, 35)
        colour = rng.uniform(30, 235, 3)
        kind = rng.integers(3)
        if kind == 0:  # a box or a picture on the wall
            half = rng.uniform(3, 14, 2)
            depth = np.minimum(half[0] - np.abs(x - centre_x), half[1] - np.abs(y - centre_y))
        elif kind == 1:  # a ball or a lamp
            depth = rng.uniform(2.5, 8) - np.hypot(x - centre_x, y - centre_y)
        else:  # a post, about as thick as an arm or a leg
            half_height = rng.uniform(8, 26)
            beyond = np.maximum(np.abs(y - centre_y) - half_height, 0)
            depth = rng.uniform(1.2, 3.5) - np.hypot(x - centre_x, beyond)
        edge, inside = np.clip(depth + 1.3, 0, 1)[..., None], np.clip(depth + 0.5, 0, 1)[..., None]
        picture += edge * (0.45 * colour - picture)
        picture += inside * (colour * (1 - 0.004 * (y[..., None] - centre_y)) - picture)
