"""Upright boxes around rotated ones: a pool knows no angle."""

import math


def around(
    x: float, y: float, width: float, height: float, degrees: float, *, about_centre: bool
) -> tuple[float, float, float, float]:
    """The smallest upright box around a rotated one.

    Args:
        x: Left edge before rotation.
        y: Upper edge before rotation.
        width: May be negative: the box then lies left of `x`.
        height: May be negative: the box then lies above `y`.
        degrees: Clockwise on the screen.
        about_centre: Turned about its centre (CVAT); else about (x, y) (Label Studio).

    Returns:
        (x1, y1, x2, y2), in the units given.
    """
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    pivot_x, pivot_y = (x + width / 2, y + height / 2) if about_centre else (x, y)
    corners = [(x + i * width - pivot_x, y + j * height - pivot_y) for i in (0, 1) for j in (0, 1)]
    xs = [pivot_x + cosine * dx - sine * dy for dx, dy in corners]
    ys = [pivot_y + sine * dx + cosine * dy for dx, dy in corners]
    return min(xs), min(ys), max(xs), max(ys)
