"""Reading one clip: reader x codec x resolution in ms of CPU, beside ffmpeg's own command line as the limit.

    uv run benchmarks/readers.py VIDEO [--ffmpeg ffmpeg] [--folder FOLDER] [--rounds 3] [--codecs h264 vp9 av1 mpeg4]

Files are 10 s of VIDEO's pictures at 30 a second, scaled, with its sound; each reader gives a frame a second as RGB and
all samples. *ffmpeg* decodes everything on one thread and throws it away, which no reader that decodes everything can
beat; its start is measured with a file of one black picture and taken off. torchcodec is measured where it can be
imported. Readers take turns in every round, and the least time counts.
"""

import argparse
import itertools
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from machine import machine

from torchmetrics_majorscore.media import open_clip, read_frames

CODECS: dict[str, tuple[str, str, str, dict[str, str]]] = {
    "h264": ("libx264", "aac", "mp4", {"threads": "2"}),
    "vp9": ("libvpx-vp9", "libopus", "webm", {"deadline": "realtime", "cpu-used": "6", "row-mt": "1"}),
    "av1": ("libsvtav1", "libopus", "webm", {"preset": "11", "crf": "38"}),
    "mpeg4": ("mpeg4", "aac", "mp4", {"bf": "2"}),
}
HEIGHTS = (360, 720, 1080)
SECONDS, RATE, HZ = 10, 30, 44_100


def write(path: Path, codec: str, height: int, pictures: Sequence[torch.Tensor]) -> None:
    encoder, heard, _, options = CODECS[codec]
    sound = np.random.default_rng(0).normal(0, 0.1, (1, SECONDS * HZ)).cumsum(axis=1)
    sound = np.sin(sound / 50).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = height * 16 // 9 // 2 * 2, height, "yuv420p"
        stream.bit_rate = height * height * 2 if codec in ("vp9", "mpeg4") else 0
        track = container.add_stream(heard, rate=48_000 if heard == "libopus" else HZ, layout="mono")
        for frame in itertools.islice(itertools.cycle([*pictures, *pictures[::-1]]), RATE * SECONDS):
            picture = av.VideoFrame.from_ndarray(frame.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
            container.mux(stream.encode(picture.reformat(stream.width, stream.height, format="yuv420p")))
        container.mux(stream.encode(None))
        played = av.AudioFrame.from_ndarray(sound, "fltp", "mono")
        played.sample_rate = HZ
        container.mux(track.encode(played))
        container.mux(track.encode(None))


def ours(path: Path) -> None:
    clip = open_clip(path)
    for _ in (*clip.frames(), *clip.sound()):
        pass


def all_decoded(path: Path) -> None:
    """Decode all pictures and all sound by PyAV in one pass, and throw them away."""
    with av.open(str(path)) as container:
        for _ in container.decode(video=0, audio=0):
            pass


def by_torchcodec(path: Path) -> None:
    from torchcodec.decoders import AudioDecoder, VideoDecoder

    video = VideoDecoder(str(path), num_ffmpeg_threads=1, seek_mode="exact")
    video.get_frames_played_at([float(second) for second in range(SECONDS)])
    AudioDecoder(str(path)).get_all_samples()


def has_torchcodec() -> bool:
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError, OSError):
        return False
    return True


def of_process(run: Callable[[], object]) -> float:
    """Give the CPU time of the processes that a call starts, in ms."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def of_call(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return 1000 * (time.process_time() - start)


def by_ffmpeg(ffmpeg: str, path: Path, *options: str) -> float:
    command = [ffmpeg, "-v", "error", "-nostdin", "-threads", "1", "-filter_threads", "1", "-i", str(path), *options]
    return of_process(lambda: subprocess.run([*command, "-f", "null", "-"], check=True))


def readers(ffmpeg: str | None) -> dict[str, Callable[[Path], float]]:
    found: dict[str, Callable[[Path], float]] = {}
    if ffmpeg:
        found["ffmpeg, everything decoded"] = lambda path: by_ffmpeg(ffmpeg, path)
        wanted = ("-vf", "fps=1,format=rgb24", "-threads", "1")
        found["ffmpeg, a frame a second as RGB"] = lambda path: by_ffmpeg(ffmpeg, path, *wanted)
    found["PyAV, everything decoded"] = lambda path: of_call(lambda: all_decoded(path))
    found["this package"] = lambda path: of_call(lambda: ours(path))
    if has_torchcodec():
        found["torchcodec"] = lambda path: of_call(lambda: by_torchcodec(path))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--ffmpeg", default=shutil.which("ffmpeg"), help="the command (default: the one that is there)")
    parser.add_argument("--folder", type=Path, help="where files are kept and found again (default: nowhere)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=list(CODECS))
    parser.add_argument("--heights", nargs="+", type=int, default=HEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(machine(), end="\n\n")
    pictures: list[Any] = []
    with tempfile.TemporaryDirectory() as passing:
        folder = options.folder or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        own = readers(options.ffmpeg)
        start = 0.0
        if options.ffmpeg:
            black = ["-f", "lavfi", "-i", "color=s=16x16:d=0.04", "-f", "null", "-"]
            command = [options.ffmpeg, "-v", "error", "-nostdin", *black]
            start = min(of_process(lambda: subprocess.run(command, check=True)) for _ in range(options.rounds))
            print(f"ffmpeg's start: {start:.0f} ms, taken off.\n")
        print(f"| | MB | {' | '.join(own)} |\n|---|---|{'---|' * len(own)}")
        for codec in options.codecs:
            for height in options.heights:
                path = folder / f"{codec}_{height}.{CODECS[codec][2]}"
                if not path.exists():
                    pictures = pictures or list(read_frames(options.video, fps=30.0, end=4.0))
                    write(path, codec, height, pictures)
                times: dict[str, list[float]] = {name: [] for name in own}
                for _ in range(options.rounds):
                    for name, run in own.items():
                        times[name].append(run(path) - (start if name.startswith("ffmpeg") else 0))
                cells = [f"{min(values):.0f}" for values in times.values()]
                size = path.stat().st_size / 1e6
                print(f"| {codec}, {height}p | {size:.1f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
