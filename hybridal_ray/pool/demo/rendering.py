"""Draws staged clips: backdrop, shadows, figures with soft outlines, light and noise."""

import numpy as np
import numpy.typing as npt

from hybridal_ray.pool.demo.difficulty import DemoDifficulty
from hybridal_ray.pool.demo.figures import PART_GROUPS, Floats, Limbs
from hybridal_ray.pool.demo.scenes import CANVAS, Picture
from hybridal_ray.pool.demo.sources import NOISE_STREAM, Source, stream
from hybridal_ray.pool.demo.staging import FRAME_SIZE, Camera, Performance, Staging

_OUTLINE = 0.8  # pixels
_OUTLINE_SHADE = 0.30
_SHADOW = 0.30  # how much light a shadow takes away


def film(
    staging: Staging, backdrop: Picture, source: Source, seed: int, clip: int, difficulty: DemoDifficulty
) -> npt.NDArray[np.uint8]:
    """The clip as a camera sees it.

    Returns:
        (T, H, W, 3), uint8 RGB.
    """
    rng = stream(seed, source.index, NOISE_STREAM, clip)
    frames = draw(staging, backdrop)
    dark = source.scene == "dark"
    if dark:
        frames *= rng.uniform(*difficulty.dark_gain)
    deviation = difficulty.dark_sensor_noise if dark else difficulty.sensor_noise
    frames += np.float32(deviation) * rng.standard_normal(frames.shape, np.float32)
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


def draw(staging: Staging, backdrop: Picture) -> Picture:
    """The clip without darkness and noise: (T, H, W, 3), float32 RGB, 0-255."""
    frames = _look_at(backdrop, staging.camera)
    for performance in staging.performances:
        _draw_shadow(frames, performance)
    for performance in staging.performances:
        _draw_limbs(frames, performance.limbs)
    return frames


def _look_at(backdrop: Picture, camera: Camera) -> Picture:
    """What a moving camera sees of a backdrop, by bilinear interpolation at the centres of the pixels."""
    frames = np.empty((len(camera.zoom), FRAME_SIZE, FRAME_SIZE, 3), np.float32)
    pixels = np.arange(FRAME_SIZE) + 0.5 - FRAME_SIZE / 2
    for frame, (centre, zoom) in enumerate(zip(camera.centre, camera.zoom, strict=True)):
        x, y = (middle + pixels / zoom + CANVAS / 2 - 0.5 for middle in centre)
        frames[frame] = _between(_between(backdrop, y, axis=0), x, axis=1)
    return frames


def _between(picture: Picture, positions: Floats, axis: int) -> Picture:
    """Linear interpolation along one axis of a picture (H, W, 3); the outermost pixels reach on outwards."""
    within = np.clip(positions, 0, picture.shape[axis] - 1.001)
    low = within.astype(int)
    weight = np.expand_dims((within - low).astype(np.float32), (1, 2) if axis == 0 else (0, 2))
    return picture.take(low, axis) * (1 - weight) + picture.take(low + 1, axis) * weight


def _draw_shadow(frames: Picture, performance: Performance) -> None:
    """Darkens an ellipse on the ground below a figure."""
    boxes = performance.limbs.tight_boxes()
    half_width = 0.20 * float((boxes[:, 3] - boxes[:, 1]).mean())
    grid = np.arange(FRAME_SIZE, dtype=np.float32) + 0.5
    across = (grid[None, None, :] - performance.ground[:, 0, None, None]) / half_width
    down = (grid[None, :, None] - performance.ground[:, 1, None, None]) / (0.22 * half_width)
    depth = np.clip(1.4 * (1 - across**2 - down**2), 0, 1).astype(np.float32)
    frames *= 1 - np.float32(_SHADOW) * depth[..., None]


def _draw_limbs(frames: Picture, limbs: Limbs) -> None:
    """Draws a figure group by group, each over a dark outline of its own, so that an arm shows on the trunk."""
    for group in dict.fromkeys(PART_GROUPS):
        parts = [part for part, name in enumerate(PART_GROUPS) if name == group]
        stencils = [stencil for part in parts if (stencil := _stencil(limbs, part)) is not None]
        for area, distance, radius, colour in stencils:
            cover = np.clip(radius + np.float32(_OUTLINE + 0.5) - distance, 0, 1)[..., None]
            frames[area] += cover * (np.float32(_OUTLINE_SHADE) * colour - frames[area])
        for area, distance, radius, colour in stencils:
            cover = np.clip(radius + np.float32(0.5) - distance, 0, 1)[..., None]
            rounding = np.float32(1.08) - np.float32(0.26) * np.minimum(distance / radius, 1)[..., None] ** 2
            frames[area] += cover * (rounding * colour - frames[area])


def _stencil(limbs: Limbs, part: int) -> tuple[tuple[slice, ...], Picture, Picture, Picture] | None:
    """The distances of pixels to the axis of a limb, in the part of the frame that the limb sweeps in the clip.

    Returns:
        The area as slices of (T, H, W), distances (T, h, w), radii (T, 1, 1), colour (3,); None out of view.
    """
    start, end, radius = limbs.starts[:, part], limbs.ends[:, part], limbs.radii[:, part]
    reach = radius.max() + _OUTLINE + 1
    low = np.floor(np.minimum(start, end).min(axis=0) - reach).clip(0, FRAME_SIZE).astype(int)
    high = np.ceil(np.maximum(start, end).max(axis=0) + reach).clip(0, FRAME_SIZE).astype(int)
    if (high <= low).any():
        return None
    area = (slice(None), slice(low[1], high[1]), slice(low[0], high[0]))
    x = np.arange(low[0], high[0], dtype=np.float32) + np.float32(0.5)
    y = np.arange(low[1], high[1], dtype=np.float32) + np.float32(0.5)
    distance = _distance_to_segments(x[None, None, :], y[None, :, None], start, end)
    return area, distance, radius.astype(np.float32)[:, None, None], limbs.colours[part].astype(np.float32)


def _distance_to_segments(x: Picture, y: Picture, start: Floats, end: Floats) -> Picture:
    """Distances of points (1, 1, w), (1, h, 1) to the segments (T, 2), (T, 2): (T, h, w)."""
    sx, sy = (start[:, axis, None, None].astype(np.float32) for axis in (0, 1))
    dx, dy = ((end - start)[:, axis, None, None].astype(np.float32) for axis in (0, 1))
    from_x, from_y = x - sx, y - sy
    along = (from_x * dx + from_y * dy) / np.maximum(dx * dx + dy * dy, np.float32(1e-6))
    along = np.clip(along, 0, 1)
    return np.hypot(from_x - along * dx, from_y - along * dy)
