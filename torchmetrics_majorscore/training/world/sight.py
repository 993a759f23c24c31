"""What a scene of the embedded world looks like: a place, an object that moves from event to event, rays of loudness.

A frame is exposed for a fifth of a second, so a fast movement is blurred: tempo can be seen in a single frame.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from torchmetrics_majorscore.training.world.scene import KINDS, SECONDS, Scene, in_threads
from torchmetrics_majorscore.training.world.shapes import distances

EXPOSURE = 0.2
EXPOSURES = 6
FRAMES_AT_ONCE = 32  # what is made of more does not fit into a processor's cache
HALF_SIZE = {"small": (0.13, 0.19), "large": (0.27, 0.36)}
HUES = {"red": 0.0, "orange": 0.07, "yellow": 0.15, "green": 0.34, "blue": 0.6, "purple": 0.78}
PLACE_TONES = {"cave": (0.07, 0.35, 0.33), "rain": (0.6, 0.15, 0.5), "sea": (0.52, 0.5, 0.6)}
NOISE = 4.0 / 255.0


def render_frames(scenes: Sequence[Scene], fps: float = 1.0, size: int = 64) -> Tensor:
    """Render the videos of scenes.

    Args:
        scenes: what is seen.
        fps: frames per second, from t = 0 on.
        size: height and width in pixels.

    Returns:
        RGB frames, uint8, (N, T, 3, size, size), T = ceil(4 fps).
    """
    times = torch.arange(ceil(SECONDS * fps)) / fps
    return frame_at(scenes, times.expand(len(scenes), -1), size)


def frame_at(scenes: Sequence[Scene], times: Tensor, size: int = 64) -> Tensor:
    """Render scenes at given times.

    Args:
        scenes: N scenes.
        times: seconds, (N, T).
        size: height and width in pixels.

    Returns:
        RGB frames, uint8, (N, T, 3, size, size). A scene alone and one in a batch have the same pixels.
    """
    frames = torch.empty(len(scenes), times.shape[1], 3, size, size, dtype=torch.uint8)
    order = sorted(range(len(scenes)), key=lambda row: (scenes[row].kind, scenes[row].companion or ""))
    parts = []
    for _, group in groupby(order, key=lambda row: (scenes[row].kind, scenes[row].companion)):
        rows, step = list(group), max(1, FRAMES_AT_ONCE // times.shape[1])
        parts += [rows[at : at + step] for at in range(0, len(rows), step)]

    def render(part: list[int]) -> None:
        frames[part] = _render([scenes[row] for row in part], times[part], size)

    in_threads(render, parts)
    return frames


@dataclass(frozen=True)
class Pose:
    """Where objects are: tensors that broadcast to (N, T, EXPOSURES, 1, 1), in half pictures, y upwards."""

    x: Tensor
    y: Tensor
    half: Tensor
    angle: Tensor
    mirror: Tensor


def _render(scenes: Sequence[Scene], times: Tensor, size: int) -> Tensor:
    randoms = [scene.random("sight") for scene in scenes]
    picture = torch.stack([_place(s.place, r, t, size) for s, r, t in zip(scenes, randoms, times, strict=True)])
    if scenes[0].companion:
        poses = [_stand(scene) for scene in scenes]
        colours = torch.stack([_colour("white", scene.random("companion colour")) for scene in scenes])
        picture = _paint(picture, scenes[0].companion, _stack(poses), colours)
    moves = [_move(*moving) for moving in zip(scenes, randoms, times, strict=True)]
    colours = torch.stack([_colour(scene.colour, random) for scene, random in zip(scenes, randoms, strict=True)])
    pose = _stack([pose for pose, _ in moves])
    since = torch.stack([gone for _, gone in moves])[..., None, None, None]
    picture = _paint(picture, scenes[0].kind, pose, colours)
    loud = torch.tensor([scene.volume == "loud" for scene in scenes]).view(-1, 1, 1, 1, 1)
    picture = _ray(picture, pose, since, loud)
    light = torch.tensor([random.uniform(0.75, 1.15) for random in randoms], dtype=torch.float32)
    noise = torch.stack([torch.from_numpy(r.standard_normal(picture.shape[1:], dtype=np.float32)) for r in randoms])
    picture = picture * light.view(-1, 1, 1, 1, 1) + NOISE * noise
    return (picture.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)


def _stack(poses: Sequence[Pose]) -> Pose:
    parts = zip(*(vars(pose).values() for pose in poses), strict=True)
    return Pose(*(torch.stack(part)[..., None, None] for part in parts))


def _grid(size: int) -> tuple[Tensor, Tensor]:
    steps = (torch.arange(size) + 0.5) / size * 2.0 - 1.0
    return steps[None, :], -steps[:, None]


def _texture(random: np.random.Generator, coarse: tuple[int, int], size: int) -> Tensor:
    """Draw smooth noise, (1, size, size), of about unit variance."""
    values = torch.from_numpy(random.standard_normal(coarse, dtype=np.float32))
    return interpolate(values[None, None], size=(size, size), mode="bicubic", align_corners=False)[0]


def _tone(hue: float, saturation: float, value: float) -> Tensor:
    rgb = colorsys.hsv_to_rgb(hue % 1.0, float(np.clip(saturation, 0, 1)), float(np.clip(value, 0.05, 1)))
    return torch.tensor(rgb).view(3, 1, 1)


def _colour(name: str, random: np.random.Generator) -> Tensor:
    """Draw a shade of a colour, (3, 1, 1)."""
    value = random.uniform(0.7, 1.0)
    if name == "white":
        return _tone(random.uniform(), random.uniform(0.0, 0.08), value)
    return _tone(HUES[name] + random.uniform(-0.025, 0.025), random.uniform(0.7, 1.0), value)


def _place(place: str, random: np.random.Generator, times: Tensor, size: int) -> Tensor:
    """Paint the background, (T, 3, size, size)."""
    x, y = _grid(size)
    hue, saturation, value = (tone + random.uniform(-0.07, 0.07) for tone in PLACE_TONES[place])
    coarse = int(random.integers(3, 9))
    base = _tone(hue, saturation, value) * (1.0 + 0.12 * _texture(random, (coarse, coarse), size))
    fine = _texture(random, (size // 2, size // 2), size)
    if place == "cave":
        edge = 1.0 - 0.35 * (1.0 + torch.from_numpy(random.uniform(-1, 1, 12)).float())
        teeth = interpolate(edge[None, None], size=size, mode="linear")[0]
        picture = base * (1.0 + 0.1 * fine) * torch.where(y > teeth, 0.45, 1.0)
        return picture.expand(len(times), -1, -1, -1)
    if place == "rain":
        streaks = _texture(random, (7, size), size) * _texture(random, (size // 4, size // 4), size)
        fallen = [torch.roll(streaks, round(12.0 * size * float(t) / SECONDS), dims=-2) for t in times]
        return base * (0.85 + 0.15 * y) + 0.22 * torch.stack(fallen).clamp(0.0, 1.5)
    horizon, shore = random.uniform(-0.1, 0.4), random.uniform(-0.8, -0.45)
    depth, pace = random.uniform(9, 16), random.uniform(1.0, 2.0)
    wave = torch.sin(
        depth * (y - horizon).abs().sqrt() * 3.0 + 2.0 * torch.sin(4.0 * x) + (times * pace).view(-1, 1, 1, 1)
    )
    water = base * 0.8 + 0.1 * wave
    sky = _tone(hue + 0.04, 0.25, value + 0.3) * (1.0 + 0.04 * fine)
    sand = _tone(0.11, 0.4, 0.75 + random.uniform(-0.15, 0.15)) * (1.0 + 0.07 * fine)
    return torch.where(y > horizon, sky, torch.where(y < shore + 0.08 * torch.sin(3.0 * x), sand, water))


def _move(scene: Scene, random: np.random.Generator, times: Tensor) -> tuple[Pose, Tensor]:
    """Draw where an object is, and follow its movement: hop, swing or shake. Also give the seconds since an event."""
    half = random.uniform(*HALF_SIZE[scene.size]) * 2.0
    x, y = random.uniform(-0.95 + half, 0.95 - half), random.uniform(-0.9 + half, 0.75 - half)
    tilt, mirror = random.uniform(-0.2, 0.2), random.choice([-1.0, 1.0])
    events = scene.events()
    exposed = times.numpy()[:, None] + (np.arange(EXPOSURES) + 0.5) / EXPOSURES * EXPOSURE
    cycle = np.interp(exposed, events, np.arange(len(events)))
    phase = torch.from_numpy(cycle % 1.0).float()
    swing = torch.sin(2.0 * torch.pi * phase)
    manner = KINDS.index(scene.kind) % 3
    hop = 0.75 * half * torch.sin(torch.pi * phase) if manner == 0 else torch.zeros_like(phase)
    turn = 0.55 * swing if manner == 1 else 0.1 * swing
    shake = (0.1, 0.4, 0.5)[manner] * half * swing
    gone = phase[:, 0] * float(np.diff(events).mean())
    fixed = torch.ones_like(phase)
    return Pose(x + shake, y + hop, half * fixed, tilt + turn, mirror * fixed), gone


def _stand(scene: Scene) -> Pose:
    """Draw where a companion stands; the object is painted over it."""
    random = scene.random("companion")
    half = random.uniform(0.3, 0.6)
    parts = random.uniform(-0.95 + half, 0.95 - half), random.uniform(-0.9 + half, 0.5), half, random.uniform(-0.2, 0.2)
    return Pose(*(torch.full((1, 1), value) for value in (*parts, float(random.choice([-1.0, 1.0])))))


def _own_axes(pose: Pose, size: int) -> tuple[Tensor, Tensor]:
    x, y = _grid(size)
    dx, dy = (x - pose.x) / pose.half, (y - pose.y) / pose.half
    cos, sin = torch.cos(pose.angle), torch.sin(pose.angle)
    return (cos * dx + sin * dy) * pose.mirror, cos * dy - sin * dx


def _paint(picture: Tensor, kind: str, pose: Pose, colours: Tensor) -> Tensor:
    """Lay an object over pictures (N, T, 3, H, W), averaged over the exposure."""
    size = picture.shape[-1]
    body, detail = distances(kind, *_own_axes(pose, size))
    pixel = 2.0 / size / pose.half
    inside, painted, rim = ((0.5 - part / pixel).clamp(0.0, 1.0) for part in (body, detail, body + 0.08))
    painted = painted * inside
    # The rim is darker than the body, the details are darker still.
    shade = (0.55 + 0.45 * rim) * (1.0 - 0.75 * painted) * inside
    return picture * (1.0 - inside.mean(dim=2))[:, :, None] + shade.mean(dim=2)[:, :, None] * colours[:, None]


def _ray(picture: Tensor, pose: Pose, since: Tensor, loud: Tensor) -> Tensor:
    """Draw rays around the object, long and bright if it is loud, brightest at an event."""
    x, y = _own_axes(Pose(*(part[:, :, :1] for part in vars(pose).values())), picture.shape[-1])
    radius, angle = torch.hypot(x, y), torch.atan2(y, x)
    length = torch.where(loud, 0.5, 0.18)
    rays = (torch.cos(9.0 * angle) > 0.75) & (radius > 1.05) & (radius < 1.05 + length)
    strength = torch.where(loud, 0.85, 0.45) * (0.45 + 0.55 * torch.exp(-6.0 * since))
    weight = rays.float() * strength
    return picture * (1.0 - weight) + weight
