"""Media files whose every frame and sample is known; a test that imports this is skipped without av."""

from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")


def write(path, codec="libx264", count=60, rate=30, stamps=None, image=None, sound=None, **rotation):
    """Write a video whose frame i shows i in base 16: the left half i % 16, the right half i // 16."""
    # The index of an mp4 comes first, so that a cut loses the end of both streams.
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "12"} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 2_000_000
        if rotation:
            stream.set_display_rotation(**rotation)
        if sound is not None:
            track = container.add_stream(sound[0], rate=8000, layout="mono")
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(count):
            pixels = np.zeros((48, 64, 3), np.uint8) if image is None else image
            if image is None:
                pixels[:, :32], pixels[:, 32:] = 15 * (i % 16), 15 * (i // 16)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = (i, 1 / Fraction(rate)) if stamps is None else (stamps[i], Fraction(1, 1000))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for i in range(0, sound[1].shape[1], 400):
                container.mux(encode(track, sound[1][:, i : i + 400], 8000, sound[2] + i))
            container.mux(track.encode(None))
    return path


def write_stills(path, levels):
    """Write grey pictures, each at its stamp in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp, level in levels.items():
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def encode(track, samples, rate, first=0):
    name = {"uint8": "u8", "int16": "s16", "int32": "s32", "float32": "flt"}[samples.dtype.name]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T).reshape(1, -1), name, track.layout.name)
    frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
    return track.encode(frame)


def write_sound(path, codec, samples, rate):
    with av.open(str(path), "w") as container:
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
        track = container.add_stream(codec, rate=rate, layout=layout)
        container.mux(encode(track, samples, rate))
        container.mux(track.encode(None))
    return path


def sine(rate, channels=1, seconds=1.0):
    time = np.arange(round(rate * seconds)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * 440 * (c + 1) * time) for c in range(channels)])


def indices(frames):
    left, right = (frames[..., half].float().mean((1, 2, 3)) / 15 for half in (slice(8, 24), slice(40, 56)))
    return (left.round() + 16 * right.round()).int().tolist()
