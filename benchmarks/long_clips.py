"""How much memory `majorscore score` takes beside its networks for clips that are long, or claim to be.

    uv run benchmarks/long_clips.py [--hours 1] [--encoder c-mcr]

Each clip is scored by a process of its own, with full-size seeded weights. *Beside the networks* is the peak less what
the process took when they were loaded. The long video is a minute of 720p at 25 pictures a second with sound, repeated
packet by packet; the long wav is noise in two channels at 44.1 kHz, twice as long.
"""

import argparse
import csv
import re
import subprocess
import sys
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from machine import machine, seconds

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips

CLIPS = {
    "10 s of 720p with sound": ("short.mp4", None),
    "{} h of 720p with sound": ("long.mp4", None),
    "10 s of 720p, twice {} h of stereo wav": ("short.mp4", "long.wav"),
    "a wav that claims 2 GHz": ("short.mp4", "fast.wav"),
    "two pictures 200 000 s apart": ("far.mkv", None),
}


def picture(number: int) -> np.ndarray:
    """Draw waves that move, in colour: something for the codec to do."""
    y, x = np.mgrid[0:720, 0:1280]
    waves = [np.sin(x / (40 + 9 * k) + y / (70 - 8 * k) + number / (7 + k)) for k in range(3)]
    return np.ascontiguousarray(np.stack([127 + 120 * wave for wave in waves], axis=-1).astype(np.uint8))


def write_video(path: Path, length: int) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "35"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="stereo")
        for number in range(25 * length):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode(None))
        noise = np.random.default_rng(0)
        for first in range(0, 48_000 * length, 1024):
            samples = noise.uniform(-0.3, 0.3, (2, 1024)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, first, Fraction(1, 48_000)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def repeat(source: Path, target: Path, times: int, length: int) -> None:
    """Write the packets of a file again and again."""
    import av

    with av.open(str(source)) as given, av.open(str(target), "w") as container:
        streams = [container.add_stream_from_template(stream) for stream in given.streams]
        packets = [packet for packet in given.demux() if packet.size]
        reached: dict[int, int] = {}
        for turn in range(times):
            for packet in packets:
                own, stream = av.Packet(bytes(packet)), streams[packet.stream_index]
                shift = round(turn * length / packet.time_base)
                own.pts, own.dts, own.time_base = packet.pts + shift, packet.dts + shift, packet.time_base
                if own.dts <= reached.get(stream.index, own.dts - 1):  # sound lasts a little longer
                    continue
                own.duration, own.is_keyframe, own.stream = packet.duration, packet.is_keyframe, stream
                reached[stream.index] = own.dts
                container.mux(own)


def write_wav(path: Path, rate: int, length: int, channels: int) -> None:
    block = np.random.default_rng(0).integers(-9000, 9000, (44_100, channels)).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        for _ in range(length):
            file.writeframes(block)


def write_far(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, stamp in enumerate((0, 200_000_000)):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def kilobytes(name: str) -> int:
    return int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def score_one(folder: Path, video: str, audio: str | None, encoder: str) -> None:
    """Print MB of the networks, MB at the peak, seconds, and what the row says."""
    handle = load_encoder(encoder, weights="seeded" if encoder == "c-mcr" else None)
    handle.on(torch.device("cpu"))
    before = kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # loading took more than is left
    entry = Entry("clip", folder / video, folder / audio if audio else None, "waves that move")
    with tempfile.TemporaryDirectory() as own:
        table = Path(own, "scores.csv")
        took = seconds(lambda: score_clips([entry], table, ScoreOptions(handle)))
        peak = kilobytes("VmHWM")
        with table.open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file))
    said = "; ".join(str(row[name]) for name in ("error", "remarks") if row[name]).replace(str(folder), "")
    print(before // 1024, peak // 1024, round(took), row["majorscore_average"], said, sep="|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=int, default=1)
    parser.add_argument("--encoder", default="c-mcr")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        folder, video, *audio = options.one
        score_one(Path(folder), video, next(iter(audio), None), options.encoder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_video(folder / "short.mp4", 10)
        write_video(folder / "minute.mp4", 60)
        repeat(folder / "minute.mp4", folder / "long.mp4", 60 * options.hours, 60)
        write_wav(folder / "long.wav", 44_100, 7200 * options.hours, 2)
        write_wav(folder / "fast.wav", 2_000_000_000, 2, 1)
        write_far(folder / "far.mkv")
        print("| | networks, MB | beside them, MB | s | MAJORScore | error, remarks |\n|---|---|---|---|---|---|")
        for title, files in CLIPS.items():
            command = [sys.executable, __file__, "--encoder", options.encoder, "--one", name, *filter(None, files)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("|")
            before, peak, *rest = answer
            title = title.format(options.hours)
            print(f"| {title} | {before} | {int(peak) - int(before)} | {' | '.join(rest)} |", flush=True)
    print(machine())


if __name__ == "__main__":
    main()
