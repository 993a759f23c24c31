"""A small copy of a clip that stands in a page: at most ten seconds, H.264 and AAC."""

import base64
import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torchmetrics_majorscore.media import Entry, open_clip
from torchmetrics_majorscore.media.container import import_av
from torchmetrics_majorscore.media.far import Near
from torchmetrics_majorscore.report.window import FPS, SAMPLE_RATE, Samples, read_pictures, read_sound

SECONDS = 10.0  # what C-MCR's CLAP hears
AUDIO_BITS = 64_000  # per second
VIDEO_QUALITY = "30"  # x264's crf
JPEG_QUALITY = "5"  # FFmpeg's qscale, 2 (best) to 31


@dataclass(frozen=True)
class Preview:
    """A small copy of a clip as data URIs.

    Attributes:
        media: MP4 with H.264 and AAC, or None.
        thumbnail: JPEG of the middle frame, or None.
        problem: what is missing, and why; empty if nothing is.
    """

    media: str | None
    thumbnail: str | None
    problem: str = ""


def read_preview(entry: Entry | None) -> Preview:
    """Read a clip and make its small copy.

    Args:
        entry: of the manifest; None for a clip that is not in it.

    Returns:
        The preview; what cannot be read has its reason, and nothing is raised.
    """
    if entry is None:
        return Preview(None, None, "not in the manifest")
    near = Near()
    try:
        return _of_files(entry, near)
    finally:
        near.close()


def _of_files(entry: Entry, near: Near) -> Preview:
    end = entry.start + SECONDS
    end = end if entry.end is None else min(end, entry.end)
    try:
        track = entry.audio_track
        video, audio = near.path(entry.video or entry.files.get("image")), near.path(entry.audio)
        clip = open_clip(video, audio, fps=FPS, start=entry.start, end=end, audio_track=track)
    except (OSError, ValueError) as error:
        return Preview(None, None, str(error))
    reasons: list[str] = []
    pictures, sound = read_pictures(clip, reasons), read_sound(clip, reasons)
    problem = near.named("; ".join(dict.fromkeys(reasons))) or ("" if sound is not None else "no sound")
    if not pictures and sound is None:
        return Preview(None, None, problem)
    media = _data_uri("video/mp4" if pictures else "audio/mp4", _encode(pictures, sound))
    return Preview(media, _thumbnail(pictures[len(pictures) // 2]) if pictures else None, problem)


def _encode(pictures: list[Any], sound: Samples | None) -> bytes:
    buffer = io.BytesIO()
    with import_av().open(buffer, "w", format="mp4") as container:
        streams = []
        if pictures:
            # One thread: more would make the bytes depend on the machine.
            options = {"crf": VIDEO_QUALITY, "threads": "1"}
            video = container.add_stream("libx264", rate=int(FPS), pix_fmt="yuv420p", options=options)
            video.width, video.height = pictures[0].width, pictures[0].height
            streams.append((video, pictures))
        if sound is not None:
            audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono", bit_rate=AUDIO_BITS)
            frame = import_av().AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            streams.append((audio, [frame]))
        for stream, frames in streams:
            for number, frame in enumerate(frames):
                # Only now, for one picture may stand there several times.
                frame.pts, frame.time_base = number, Fraction(1, round(FPS))
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return buffer.getvalue()


def _thumbnail(picture: Any) -> str:
    options = {"qmin": JPEG_QUALITY, "qmax": JPEG_QUALITY}
    coder = import_av().CodecContext.create("mjpeg", "w")
    coder.width, coder.height, coder.pix_fmt, coder.options = picture.width, picture.height, "yuvj420p", options
    coder.time_base = Fraction(1)
    frame = picture.reformat(format="yuvj420p")
    return _data_uri("image/jpeg", b"".join(map(bytes, (*coder.encode(frame), *coder.encode(None)))))


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
