"""Clips of a table to look at and to listen to: which, and a small copy of each that stands in a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media.container import import_av

if TYPE_CHECKING:
    import torch
    from pandas import DataFrame

    from torchmetrics_majorscore.media import Clip, Entry

PER_GROUP = 3
SECONDS = 10.0  # what C-MCR's CLAP hears
FPS = 8.0
LONGEST_SIDE = 320  # pixels
SAMPLE_RATE = 44_100  # Hz
AUDIO_BITS = 64_000  # per second, mono, as the score hears it
VIDEO_QUALITY = "30"  # x264's crf
JPEG_QUALITY = 70
SHOWN = ("majorscore_average", "similarity_video_text", "similarity_text_audio", "similarity_video_audio")
GROUPS = {
    "best": ("Best", "highest MAJORScore average"),
    "worst": ("Worst", "lowest MAJORScore average"),
    "video": ("High video-text, low text-audio", "by rank: the caption fits the picture, the sound less"),
    "audio": ("High text-audio, low video-text", "by rank: the caption fits the sound, the picture less"),
}


@dataclass(frozen=True)
class Preview:
    """A small copy of a clip as data URIs.

    Attributes:
        media: MP4 with H.264 and AAC, or None.
        thumbnail: JPEG of the middle frame, or None.
        has_video: whether ``media`` has pictures.
        problem: what is missing, and why; empty if nothing is.
    """

    media: str | None
    thumbnail: str | None
    has_video: bool
    problem: str = ""


def make_groups(table: DataFrame, entries: dict[str, Entry] | None) -> list[dict[str, Any]]:
    """Give the groups of the gallery; a clip that stands in several has its player in the first."""
    picked = pick_clips(table)
    previews = read_previews(picked, entries) if entries else {}
    anchors = {clip_id: number for number, clip_id in enumerate(dict.fromkeys(chain(*picked.values())))}
    seen: set[str] = set()
    groups = []
    for name, ids in picked.items():
        cards = [
            {
                "id": clip_id,
                "text": caption(entries, clip_id),
                "values": {column: table.at[clip_id, column] for column in SHOWN},
                "preview": previews.get(clip_id),
                "anchor": anchors[clip_id],
                "again": clip_id in seen,
            }
            for clip_id in ids
        ]
        seen |= set(ids)
        groups.append({"title": GROUPS[name][0], "note": GROUPS[name][1], "cards": cards})
    return groups


def caption(entries: Mapping[str, Entry] | None, clip_id: str) -> str:
    """Give a clip's caption, or "" without one."""
    entry = (entries or {}).get(clip_id)
    return (entry.text if entry else None) or ""


def pick_clips(table: DataFrame) -> dict[str, list[str]]:
    """Pick clips worth a look (MAJORScore, Fig. 4).

    Args:
        table: one row per clip, its index the ids, with ``majorscore_average``, ``similarity_video_text`` and
            ``similarity_text_audio``; rows with a NaN in one of them are not picked.

    Returns:
        ``best`` and ``worst`` by ``majorscore_average``, ``video`` and ``audio``: ids of clips whose video-text
        (text-audio) similarity is at least the median and whose other one is at most the median, with the largest
        difference of ranks first, for the two similarities need not share a scale.
    """
    rows = table[["majorscore_average", "similarity_video_text", "similarity_text_audio"]].dropna()
    ordered = rows["majorscore_average"].sort_values(ascending=False, kind="stable").index.tolist()
    best = ordered[: min(PER_GROUP, (len(ordered) + 1) // 2)]
    worst = ordered[: len(best) - 1 : -1][:PER_GROUP]
    ranks = rows[["similarity_video_text", "similarity_text_audio"]].rank(pct=True)
    medians = ranks.median()
    picked = {"best": best, "worst": worst}
    for group, high, low in (("video", *ranks.columns), ("audio", *ranks.columns[::-1])):
        apart = ranks[(ranks[high] >= medians[high]) & (ranks[low] <= medians[low]) & (ranks[high] > ranks[low])]
        differences = (apart[high] - apart[low]).sort_values(ascending=False, kind="stable")
        picked[group] = differences.index.tolist()[:PER_GROUP]
    return picked


def read_previews(picked: Mapping[str, list[str]], entries: Mapping[str, Entry]) -> dict[str, Preview]:
    """Read the picked clips and make the small copy of each.

    Args:
        picked: see :func:`pick_clips`.
        entries: the manifest, by id.

    Returns:
        A preview of each picked clip; one that cannot be read, or is not in the manifest, has its reason.

    Raises:
        ModuleNotFoundError: PyAV or Matplotlib is missing.
    """
    needs_extra("av", "media")
    ids = dict.fromkeys(clip_id for group in picked.values() for clip_id in group)
    return {clip_id: _preview(entries.get(clip_id)) for clip_id in ids}


def _preview(entry: Entry | None) -> Preview:
    if entry is None:
        return Preview(None, None, False, "not in the manifest")
    from torchmetrics_majorscore.media import read_clip  # needs torch, which a page without clips does not wait for

    end = entry.start + SECONDS
    end = end if entry.end is None else min(end, entry.end)
    try:
        clip = read_clip(entry.video, entry.audio, fps=FPS, start=entry.start, end=end)
    except (OSError, ValueError) as error:
        return Preview(None, None, False, str(error))
    reasons = [clip.video_error, clip.audio_error, "" if clip.waveform is not None else "no sound"]
    problem = next((reason for reason in reasons if reason), "")
    pictures = _pictures(clip)
    media = _data_uri("video/mp4" if pictures else "audio/mp4", _encode(pictures, clip))
    return Preview(media, _thumbnail(pictures[len(pictures) // 2]) if pictures else None, bool(pictures), problem)


def _pictures(clip: Clip) -> list[Any]:
    """Shrink the frames to the longest side; both sides even, as H.264 with halved colours asks for."""
    if clip.frames is None:
        return []
    height, width = clip.frames.shape[-2:]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = {"width": max(2, round(scale * width / 2) * 2), "height": max(2, round(scale * height / 2) * 2)}
    pixels = clip.frames.permute(0, 2, 3, 1).contiguous().numpy()
    frames = (import_av().VideoFrame.from_ndarray(frame, "rgb24") for frame in pixels)
    return [frame.reformat(**size, format="yuv420p", interpolation="AREA") for frame in frames]


def _encode(pictures: list[Any], clip: Clip) -> bytes:
    buffer = io.BytesIO()
    with import_av().open(buffer, "w", format="mp4") as container:
        streams = []
        if pictures:
            # One thread: more would make the bytes depend on the machine.
            options = {"crf": VIDEO_QUALITY, "threads": "1"}
            video = container.add_stream("libx264", rate=int(FPS), pix_fmt="yuv420p", options=options)
            video.width, video.height = pictures[0].width, pictures[0].height
            streams.append((video, pictures))
        if clip.waveform is not None:
            audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono", bit_rate=AUDIO_BITS)
            streams.append((audio, [_sound(clip.waveform, clip.sample_rate)]))
        for stream, frames in streams:
            for frame in (*frames, None):  # None flushes
                container.mux(stream.encode(frame))
    return buffer.getvalue()


def _sound(waveform: torch.Tensor, sample_rate: int | None) -> Any:
    mono = waveform.mean(dim=0, keepdim=True).clamp(-1, 1).numpy()
    sound = import_av().AudioFrame.from_ndarray(mono, format="fltp", layout="mono")
    sound.sample_rate = sample_rate
    return sound


def _thumbnail(picture: Any) -> str:
    needs_extra("matplotlib", "evaluation")
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, picture.to_ndarray(format="rgb24"), format="jpg", pil_kwargs={"quality": JPEG_QUALITY})
    return _data_uri("image/jpeg", buffer.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
