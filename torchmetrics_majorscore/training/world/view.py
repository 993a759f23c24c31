"""Scenes of the embedded world to look at and to listen to: a contact sheet, and videos that play."""

import base64
import csv
from collections.abc import Callable, Sequence
from fractions import Fraction
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, Scene, draw_scenes
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds
from torchmetrics_majorscore.training.world.timbres import SAMPLE_RATE

FPS = 25.0  # which DeSync takes
ENLARGED = 4
COLUMNS = 4
CELL = (288, 116)  # width and height of a scene on the contact sheet
TONES = ((10, 8, 30), (90, 20, 110), (200, 60, 80), (250, 160, 60), (252, 250, 190))  # of a spectrogram, from -40 dB


def write_world(folder: Path, count: int, seed: int, on_scene: Callable[[], object] = lambda: None) -> list[Path]:
    """Write scenes of the embedded world: ``contact_sheet.svg``, a video of each scene, and ``manifest.csv``.

    Args:
        folder: made if it does not exist.
        count: scenes, at least 1; their combinations are spread over all of them.
        seed: of the scenes.
        on_scene: called after each.

    Returns:
        The paths of what was written.

    Raises:
        ValueError: fewer than one scene.
    """
    if count < 1:
        raise ValueError(f"Expected one scene or more, got {count}.")
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(COMBINATIONS))
    scenes = draw_scenes(np.resize(order, count).tolist(), seed, "test")
    paths, sheet = [folder / "contact_sheet.svg"], []
    for scene in scenes:
        (video,), (sound,) = render_frames([scene], FPS), render_sounds([scene])
        paths.append(folder / f"{scene.id}.mp4")
        write_mp4(paths[-1], video, FPS, sound, SAMPLE_RATE)
        sheet.append((video[:: len(video) // 2][:2], sound))
        on_scene()
    write_contact_sheet(paths[0], scenes, *map(torch.stack, zip(*sheet, strict=True)))
    rows = [(scene.id, f"{scene.id}.mp4", caption(scene, "test"), scene.kind) for scene in scenes]
    paths.append(folder / "manifest.csv")
    with paths[-1].open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "video", "text", "class"), *rows])
    return paths


def write_contact_sheet(path: Path, scenes: Sequence[Scene], frames: Tensor, sounds: Tensor) -> None:
    """Draw two frames, the spectrogram and the caption of each scene.

    Args:
        path: SVG file to write, which any browser shows.
        scenes: N scenes.
        frames: two of each, uint8, (N, 2, 3, H, W).
        sounds: waveforms at 48 kHz, (N, S).
    """
    width, height = CELL
    parts = []
    for number, (scene, video, sound) in enumerate(zip(scenes, frames, sounds, strict=True)):
        left, top = number % COLUMNS * width, number // COLUMNS * height
        lines = wrap(caption(scene, "test"), 44)
        parts += [f'<text x="{left}" y="{top + 14 + 13 * row}">{escape(line)}</text>' for row, line in enumerate(lines)]
        for place, picture in enumerate((video[0], video[1], _spectrogram(sound))):
            box = f'x="{left + 68 * place}" y="{top + 36}" width="{136 if place == 2 else 64}" height="64"'
            parts.append(f'<image {box} preserveAspectRatio="none" href="{_png_uri(picture)}"/>')
    size = COLUMNS * width, -(-len(scenes) // COLUMNS) * height
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 {size[0] + 8} {size[1] + 8}"'
    style = 'style="background: white" font-family="sans-serif" font-size="10">'
    path.write_text("\n".join([f"{start} {style}", *parts, "</svg>\n"]), encoding="utf-8")


def _spectrogram(sound: Tensor) -> Tensor:
    """Draw the power of a waveform up to 12 kHz, high frequencies above: RGB, uint8, (3, H, W)."""
    window = torch.hann_window(1024)
    power = torch.stft(sound, 1024, hop_length=768, window=window, return_complex=True).abs().square()
    power = avg_pool2d(power[None, :256].flip(1), (4, 2))[0]
    level = (10 * torch.log10(power + 1e-10) / 80 + 0.5).clamp(0, 1) * (len(TONES) - 1)
    tones, below = torch.tensor(TONES, dtype=torch.float32), level.long().clamp(max=len(TONES) - 2)
    picture = torch.lerp(tones[below], tones[below + 1], (level - below)[..., None])
    return picture.permute(2, 0, 1).to(torch.uint8)


def _png_uri(picture: Tensor) -> str:
    """Write a picture, RGB, uint8, (3, H, W), as a data URI."""
    needs_extra("av", "media")
    import av

    pixels = picture.permute(1, 2, 0).contiguous().numpy()
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.height, encoder.width, encoder.pix_fmt = *pixels.shape[:2], "rgb24"
    encoder.time_base = Fraction(1)
    packets = [*encoder.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")), *encoder.encode(None)]
    return f"data:image/png;base64,{base64.b64encode(b''.join(map(bytes, packets))).decode()}"


def write_mp4(path: Path, frames: Tensor, fps: float, waveform: Tensor, sample_rate: int) -> None:
    """Write a video with sound that browsers play: H.264 and AAC, pictures enlarged fourfold.

    Args:
        path: file to write.
        frames: uint8 RGB, (T, 3, H, W), H and W even.
        fps: frames per second.
        waveform: mono, (S,), in [-1, 1].
        sample_rate: in Hz.
    """
    needs_extra("av", "media")
    import av

    enlarged = frames.repeat_interleave(ENLARGED, dim=2).repeat_interleave(ENLARGED, dim=3)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "18"})
        video.height, video.width, video.pix_fmt = *enlarged.shape[-2:], "yuv420p"
        audio = container.add_stream("aac", rate=sample_rate, layout="mono")
        for picture in enlarged.permute(0, 2, 3, 1).contiguous().numpy():
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        sound = av.AudioFrame.from_ndarray(waveform.numpy()[None], format="fltp", layout="mono")
        # Without a stamp, what AAC puts in front of a sound would be heard: 1024 samples.
        sound.sample_rate, sound.pts = sample_rate, 0
        container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode())
