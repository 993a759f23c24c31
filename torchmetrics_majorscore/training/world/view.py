"""Scenes of the embedded world to look at and to listen to: a contact sheet, and videos that play."""

import csv
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from textwrap import fill

import numpy as np
from torch import Tensor

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.training.world.captions import caption
from torchmetrics_majorscore.training.world.scene import COMBINATIONS, Scene, draw_scenes
from torchmetrics_majorscore.training.world.sight import render_frames
from torchmetrics_majorscore.training.world.sound import render_sounds
from torchmetrics_majorscore.training.world.timbres import SAMPLE_RATE

FPS = 12.0
ENLARGED = 4
COLUMNS = 4


def write_world(folder: Path, count: int, seed: int) -> list[Path]:
    """Write scenes of the embedded world: ``contact_sheet.png``, a video of each scene, and ``manifest.csv``.

    Args:
        folder: made if it does not exist.
        count: scenes, at least 1; their combinations are spread over all of them.
        seed: of the scenes.

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
    frames, sounds = render_frames(scenes, FPS), render_sounds(scenes)
    paths = [folder / "contact_sheet.png"]
    write_contact_sheet(paths[0], scenes, frames, sounds)
    for scene, video, sound in zip(scenes, frames, sounds, strict=True):
        paths.append(folder / f"{scene.id}.mp4")
        write_mp4(paths[-1], video, FPS, sound, SAMPLE_RATE)
    rows = [(scene.id, f"{scene.id}.mp4", caption(scene, "test"), scene.kind) for scene in scenes]
    paths.append(folder / "manifest.csv")
    with paths[-1].open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "video", "text", "class"), *rows])
    return paths


def write_contact_sheet(path: Path, scenes: Sequence[Scene], frames: Tensor, sounds: Tensor) -> None:
    """Draw two frames, the spectrogram and the caption of each scene.

    Args:
        path: PNG file to write.
        scenes: N scenes.
        frames: uint8, (N, T, 3, H, W).
        sounds: waveforms at 48 kHz, (N, S).
    """
    needs_extra("matplotlib", "all")
    from matplotlib.figure import Figure

    rows = -(-len(scenes) // COLUMNS)
    figure = Figure(figsize=(5 * COLUMNS, 1.9 * rows), layout="constrained")
    grid = figure.subplots(rows, 3 * COLUMNS, squeeze=False, width_ratios=[1, 1, 2] * COLUMNS)
    for axes in grid.flat:
        axes.axis("off")
    for number, (scene, video, sound) in enumerate(zip(scenes, frames, sounds, strict=True)):
        first, second, heard = grid[number // COLUMNS, 3 * (number % COLUMNS) :][:3]
        first.imshow(video[0].permute(1, 2, 0).numpy())
        second.imshow(video[len(video) // 2].permute(1, 2, 0).numpy())
        heard.specgram(sound.numpy(), NFFT=1024, Fs=SAMPLE_RATE, noverlap=256, vmin=-140, vmax=-40)
        heard.set(ylim=(0, 12_000))
        first.set_title(fill(caption(scene, "test"), 34), loc="left", fontsize=8)
    figure.savefig(path, dpi=80)


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
        sound.sample_rate = sample_rate
        container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode())
