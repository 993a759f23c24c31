"""What each kind of object of the embedded world looks like: signed distances in a square from -1 to 1, y upwards.

A shape has a body and details, which are painted in a second tone; each is a union of discs, rectangles, thick lines
and the like. A distance is negative inside.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Part = tuple[Any, ...]
"""A primitive and its numbers."""


def disc(x: Tensor, y: Tensor, cx: float, cy: float, rx: float, ry: float | None = None) -> Tensor:
    """Give (nearly, for two different radii) the distance to a disc or a filled ellipse."""
    ry = ry or rx
    return (torch.hypot((x - cx) / rx, (y - cy) / ry) - 1.0) * min(rx, ry)


def box(x: Tensor, y: Tensor, cx: float, cy: float, w: float, h: float) -> Tensor:
    """Give the distance to a filled rectangle of half width ``w`` and half height ``h``."""
    return torch.maximum((x - cx).abs() - w, (y - cy).abs() - h)


def line(x: Tensor, y: Tensor, ax: float, ay: float, bx: float, by: float, r: float) -> Tensor:
    """Give the distance to a thick line with round ends."""
    dx, dy = bx - ax, by - ay
    along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0)
    return torch.hypot(x - ax - along * dx, y - ay - along * dy) - r


def taper(x: Tensor, y: Tensor, cx: float, bottom: float, top: float, low: float, high: float) -> Tensor:
    """Give nearly the distance to a trapezium, of half width ``low`` at the bottom and ``high`` at the top."""
    share = ((y - bottom) / (top - bottom)).clamp(0.0, 1.0)
    return torch.maximum((x - cx).abs() - (low + (high - low) * share), torch.maximum(bottom - y, y - top))


def ring(x: Tensor, y: Tensor, cx: float, cy: float, rx: float, ry: float, r: float) -> Tensor:
    """Give nearly the distance to a thick ellipse."""
    return disc(x, y, cx, cy, rx, ry).abs() - r


def dome(x: Tensor, y: Tensor, cx: float, cy: float, r: float) -> Tensor:
    """Give the distance to the upper half of a disc."""
    return torch.maximum(disc(x, y, cx, cy, r), cy - y)


def flare(x: Tensor, y: Tensor, start: float, end: float, low: float, high: float) -> Tensor:
    """Give nearly the distance to a lying cone that opens to the right along a parabola."""
    share = ((x - start) / (end - start)).clamp(0.0, 1.0)
    return torch.maximum(y.abs() - (low + (high - low) * share**2), torch.maximum(start - x, x - end))


def _at(part: Callable[..., Tensor], places: Sequence[Sequence[float]], *numbers: float) -> tuple[Part, ...]:
    return tuple((part, *place, *numbers) for place in places)


_FROG_EYES = ((-0.35, 0.45), (0.35, 0.45))
_WHEELS = ((-0.4, -0.5), (0.5, -0.5))
_JETS = tuple((line, 0.0, -0.2, x, 0.75, 0.06) for x in (-0.45, 0.0, 0.45))
_FALLS = _at(disc, ((-0.6, 0.55), (0.0, 0.75), (0.6, 0.55)), 0.13)

SHAPES: dict[str, tuple[Sequence[Part], Sequence[Part]]] = {
    "anvil": (
        [
            (box, 0.1, 0.45, 0.7, 0.2),
            (disc, -0.6, 0.52, 0.4, 0.13),
            (box, 0.1, 0, 0.25, 0.4),
            (taper, 0.1, -0.8, -0.35, 0.65, 0.4),
        ],
        [(box, 0.1, 0.6, 0.7, 0.06)],
    ),
    "bell": (
        [(disc, 0, 0.3, 0.45), (taper, 0, -0.6, 0.3, 0.8, 0.45), (disc, 0, -0.7, 0.18), (disc, 0, 0.82, 0.14)],
        [(box, 0, -0.5, 0.78, 0.09), (disc, 0, -0.75, 0.14)],
    ),
    "bird": (
        [
            (disc, 0, -0.1, 0.6, 0.42),
            (disc, 0.5, 0.4, 0.28),
            (line, -0.5, 0, -0.92, 0.3, 0.09),
            (line, -0.1, -0.5, -0.1, -0.85, 0.04),
            (line, 0.15, -0.5, 0.15, -0.85, 0.04),
        ],
        [(line, 0.72, 0.38, 0.95, 0.32, 0.07), (disc, -0.15, -0.05, 0.32, 0.18), (disc, 0.55, 0.48, 0.06)],
    ),
    "cat": (
        [(disc, 0, -0.1, 0.75, 0.65), (taper, -0.45, 0.3, 0.95, 0.28, 0), (taper, 0.45, 0.3, 0.95, 0.28, 0)],
        [(disc, -0.28, 0.1, 0.11, 0.16), (disc, 0.28, 0.1, 0.11, 0.16), (disc, 0, -0.38, 0.16, 0.1)],
    ),
    "clock": (
        [(disc, 0, 0, 0.88)],
        [(ring, 0, 0, 0.78, 0.78, 0.1), (line, 0, 0, 0, 0.55, 0.06), (line, 0, 0, 0.35, -0.2, 0.06)],
    ),
    "cricket": (
        [
            (disc, -0.05, -0.1, 0.7, 0.2),
            (disc, 0.6, 0, 0.2),
            (line, -0.3, 0, -0.6, 0.6, 0.06),
            (line, -0.6, 0.6, -0.8, -0.55, 0.05),
            (line, 0.3, -0.2, 0.4, -0.6, 0.05),
            (line, 0.65, 0.1, 0.95, 0.6, 0.035),
            (line, 0.6, 0.15, 0.7, 0.75, 0.035),
        ],
        [(line, -0.6, 0, 0.2, 0.03, 0.06)],
    ),
    "drum": (
        [
            (box, 0, -0.2, 0.7, 0.45),
            (disc, 0, -0.62, 0.7, 0.2),
            (disc, 0, 0.3, 0.7, 0.22),
            (line, -0.7, 0.9, -0.15, 0.5, 0.06),
            (line, 0.7, 0.9, 0.15, 0.5, 0.06),
        ],
        [(disc, 0, 0.3, 0.6, 0.15), (line, -0.6, 0, 0, -0.7, 0.04), (line, 0.6, 0, 0, -0.7, 0.04)],
    ),
    "engine": (
        [
            (box, 0.1, 0, 0.75, 0.3),
            (box, 0.55, 0.4, 0.28, 0.35),
            (box, -0.4, 0.5, 0.12, 0.35),
            *_at(disc, _WHEELS, 0.32),
        ],
        [*_at(disc, _WHEELS, 0.16), (box, 0.55, 0.45, 0.15, 0.14)],
    ),
    "fountain": (
        [(taper, 0, -0.55, -0.2, 0.45, 0.9), (taper, 0, -0.9, -0.55, 0.4, 0.15), *_JETS, *_FALLS],
        [*_JETS, *_FALLS],
    ),
    "flute": (
        [(line, -0.8, -0.56, 0.8, 0.56, 0.15)],
        _at(disc, [(x, 0.7 * x) for x in (-0.4, -0.15, 0.1, 0.35, 0.6)], 0.075),
    ),
    "frog": (
        [
            (disc, 0, -0.1, 0.8, 0.55),
            *_at(disc, _FROG_EYES, 0.22),
            *_at(disc, ((-0.65, -0.65), (0.65, -0.65)), 0.33, 0.14),
        ],
        [*_at(disc, _FROG_EYES, 0.11), (line, -0.45, -0.1, 0.45, -0.1, 0.05)],
    ),
    "guitar": (
        [(disc, 0, -0.5, 0.45), (disc, 0, 0, 0.32), (box, 0, 0.55, 0.07, 0.4), (box, 0, 0.88, 0.15, 0.1)],
        [(disc, 0, -0.25, 0.17), (box, 0, -0.7, 0.22, 0.05)],
    ),
    "horn": (
        [(flare, -0.65, 0.85, 0.08, 0.7), (line, -0.9, 0, -0.5, 0, 0.09), (ring, -0.35, -0.3, 0.39, 0.27, 0.07)],
        [(disc, 0.82, 0, 0.1, 0.6)],
    ),
    "rattle": (
        [(disc, 0, 0.38, 0.5), (line, 0, -0.1, 0, -0.88, 0.1)],
        _at(disc, ((-0.2, 0.55), (0.2, 0.55), (0, 0.25), (-0.25, 0.2), (0.25, 0.2)), 0.11),
    ),
    "robot": (
        [(box, 0, 0.3, 0.5, 0.35), (box, 0, -0.5, 0.6, 0.38), (line, 0, 0.6, 0, 0.9, 0.05), (box, 0, -0.5, 0.85, 0.1)],
        [
            (box, -0.22, 0.38, 0.11, 0.11),
            (box, 0.22, 0.38, 0.11, 0.11),
            (box, 0, 0.1, 0.3, 0.05),
            (box, 0, -0.5, 0.3, 0.15),
        ],
    ),
    "siren": (
        [(dome, 0, 0.25, 0.5), (box, 0, 0.15, 0.65, 0.12), (box, 0, -0.3, 0.13, 0.5), (box, 0, -0.8, 0.5, 0.12)],
        [(box, 0, 0.15, 0.65, 0.06), (line, 0, 0.35, 0, 0.6, 0.08)],
    ),
}


def distances(kind: str, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Give the distances of points to a kind's body and to its details.

    Args:
        kind: a key of :data:`SHAPES`.
        x: coordinates in the object's own square, any shape.
        y: likewise.

    Returns:
        Two tensors of that shape.
    """
    body, details = (_union(parts, x, y) for parts in SHAPES[kind])
    return body, details


def _union(parts: Sequence[Part], x: Tensor, y: Tensor) -> Tensor:
    united: Tensor = parts[0][0](x, y, *parts[0][1:])
    for part, *numbers in parts[1:]:
        united = torch.minimum(united, part(x, y, *numbers))
    return united
