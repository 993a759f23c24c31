"""Write the three tiny clips of docs/clips, so that a fresh clone has something to score.

    uv run docs/make_clips.py

A ball bounces and clicks, a disc grows while a tone rises, and grey noise hisses. They are for trying the commands; no
score of them means anything.
"""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FOLDER = Path(__file__).parent / "clips"
RATE, FPS, SECONDS, SIZE = 16_000, 12, 3, 96
Picture = Callable[[float], np.ndarray]


def disc(x: float, y: float, radius: float, colour: tuple[int, int, int]) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    inside = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
    return np.where(inside[..., None], np.uint8(colour), np.uint8(30))


def grey(noise: np.random.Generator) -> np.ndarray:
    blocks = noise.integers(60, 190, (SIZE // 16, SIZE // 16, 1), dtype=np.uint8)
    return blocks.repeat(16, 0).repeat(16, 1).repeat(3, 2)


def write(path: Path, picture: Picture, sound: np.ndarray) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width = video.height = SIZE
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for index in range(FPS * SECONDS):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture(index / FPS), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
        container.mux(audio.encode(frame))
        for stream in (video, audio):
            container.mux(stream.encode(None))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    noise = np.random.default_rng(0)
    t = np.arange(RATE * SECONDS) / RATE
    clicks = 0.8 * np.sin(2 * np.pi * 900 * t) * np.exp(-40 * (t % 1.0))
    rising = 0.5 * np.sin(2 * np.pi * (200 + 150 * t) * t)
    hiss = 0.2 * noise.standard_normal(len(t))
    write(FOLDER / "ball.mp4", lambda s: disc(48, 80 - 60 * abs(np.sin(np.pi * s)), 10, (220, 60, 40)), clicks)
    write(FOLDER / "disc.mp4", lambda s: disc(48, 48, 8 + 12 * s, (60, 120, 230)), rising)
    write(FOLDER / "noise.mp4", lambda s: grey(noise), hiss)
    rows = ["id,video,text", "ball,ball.mp4,a ball bouncing", "disc,disc.mp4,a tone rising", "noise,noise.mp4,hissing"]
    (FOLDER / "manifest.csv").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
