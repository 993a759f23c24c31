"""Clips on disk to what encoders take: workers read ahead, and whatever they meet becomes that clip's reason."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from torchmetrics_majorscore.media import ClipStream, Entry, open_clip
from torchmetrics_majorscore.media.far import Far, Near
from torchmetrics_majorscore.media.features import read_features
from torchmetrics_majorscore.modalities import MODALITIES as KNOWN
from torchmetrics_majorscore.modalities import Features, Modality, Video
from torchmetrics_majorscore.modalities.text import is_empty
from torchmetrics_majorscore.scoring.pieces import FPS, HELD, Pictures, Pieces, Sound

APART = 1.0  # seconds
MODALITIES = {name: KNOWN[name] for name in ("video", "text", "audio")}


@dataclass
class ReadClip:
    """A clip that a worker has read, as far as it fits into memory.

    Args:
        entry: where it is.
        inputs: modality to frames (T, 3, H, W), uint8, to a mono waveform (S,), float32, to a caption, or to
            what ``update`` takes of any other; of what is long, to the :class:`.Pieces` that are read when it is
            encoded.
        sample_rate: of the waveform in Hz.
        reasons: why a modality, or the whole clip, is not there.
        pieces: modality to where it was read.
        near: copies of files that lie far away; closed when all is encoded.
        fps: of the frames.
    """

    entry: Entry
    inputs: dict[str, Any] = field(default_factory=dict)
    sample_rate: int = 0
    reasons: list[str] = field(default_factory=list)
    pieces: dict[str, Pieces] = field(default_factory=dict)
    near: Near = field(default_factory=Near)
    fps: float = FPS

    @property
    def remarks(self) -> list[str]:
        """What is noteworthy; complete once all was encoded. Of the picture only the times of frames are known."""
        found = [remark for pieces in self.pieces.values() for remark in pieces.remarks]
        picture, sound = (self.pieces[name].seconds if name in self.pieces else None for name in ("video", "audio"))
        if picture is None or sound is None or picture - 1 / self.fps - APART <= sound <= picture + APART:
            return found
        return [*found, f"picture and sound last differently (about {picture:.0f} s and {sound:.1f} s)"]


def others_of(modalities: Iterable[str]) -> tuple[str, ...]:
    """Give the modalities whose samples lie in files of their own, see :func:`.read_manifest`."""
    return tuple(name for name in modalities if name not in MODALITIES)


def read_ahead(
    entries: Iterable[Entry],
    frame_size: int | None,
    workers: int,
    ahead: int,
    modalities: Mapping[str, Modality] = MODALITIES,
) -> Iterator[ReadClip]:
    """Read clips in workers, in order.

    Args:
        entries: the clips.
        frame_size: height and width to which workers bring frames, as the encoder would do with the same bytes; None
            to leave them as they are, 28 MB for each 10 s of 720p.
        workers: threads.
        ahead: clips that may wait for the encoder, each with up to 64 MiB of frames and 64 MiB of sound.
        modalities: what is wanted of each, by name.
    """
    pool = ThreadPoolExecutor(workers)  # not as a context: its end would wait for clips that are being read
    pending: deque[Future[ReadClip]] = deque()
    remaining = iter(entries)
    try:
        while True:
            while len(pending) < ahead and (entry := next(remaining, None)) is not None:
                pending.append(pool.submit(_read, entry, frame_size, modalities))
            if not pending:
                return
            yield pending.popleft().result()
    finally:  # interrupted: nothing new is begun
        pool.shutdown(wait=False, cancel_futures=True)


def _read(entry: Entry, frame_size: int | None, modalities: Mapping[str, Modality]) -> ReadClip:
    video = modalities.get("video")
    near, fps = Near(), video.picked if isinstance(video, Video) else FPS
    read = ReadClip(entry, near=near, fps=fps)

    def opened() -> ClipStream:  # without `read`, or frames and sound of each clip would wait for the garbage collector
        start, end, track = entry.start, entry.end, entry.audio_track
        picture, sound = near.path(entry.video), near.path(entry.audio)
        return open_clip(picture, sound, fps=fps, start=start, end=end, audio_track=track)

    if entry.video is None and video is not None:
        read.reasons.append("no picture")
    elif video is not None:
        _take(read, "video", Pictures(opened, frame_size, fps))
    if "audio" in modalities:
        sound = Sound(opened)
        _take(read, "audio", sound)
        read.sample_rate = sound.sample_rate
    if "text" in modalities:
        read.reasons += [entry.error] if entry.error else []
        read.reasons += ["no caption"] if is_empty(entry.text or "") else []
        read.inputs |= {} if is_empty(entry.text or "") else {"text": entry.text}
    for name in others_of(modalities):
        _take_file(read, name, modalities[name])
    return read


def _take(read: ReadClip, name: str, pieces: Pieces) -> None:
    """Take over a modality; what cannot be read, for whatever reason, costs that modality of that clip only."""
    try:
        whole = pieces.whole(HELD)
    except Exception as error:
        read.reasons.append(_describe(read.entry.video or read.entry.audio, error))
        return
    read.inputs[name], read.pieces[name] = pieces if whole is None else whole, pieces


def _take_file(read: ReadClip, name: str, modality: Modality) -> None:
    """Take over a picture, or numbers, from a file of its own."""
    place = read.entry.files.get(name)
    try:
        path = read.near.path(place)
        checked = modality.check([None if path is None else _read_file(path, name, modality)])
    except Exception as error:
        read.reasons.append(_describe(place, error))
        return
    read.reasons += [f"{name} {reason}" for reason in checked.reasons.values()]
    read.inputs[name] = checked.samples[0]


def _read_file(path: Path, name: str, modality: Modality) -> torch.Tensor:
    if isinstance(modality, Features):
        return torch.from_numpy(read_features(path, name))
    picture, _ = next(open_clip(path).frames())
    return torch.from_numpy(picture)


def _describe(place: Path | Far | None, error: Exception) -> str:
    if isinstance(error, (OSError, ValueError)):
        return str(error)
    return f"Expected a clip that can be read, got {place}: {type(error).__name__}: {error}"


def source_of(entry: Entry) -> str:
    """Describe all that a clip's row depends on: files (names, sizes, times), caption, window and track."""
    files = [stamp_of(path) for path in (entry.video, entry.audio)]
    others = [(name, stamp_of(path)) for name, path in sorted(entry.files.items())]
    return repr((files, entry.text, entry.start, entry.end, entry.audio_track, *others))


def stamp_of(path: Path | Far | None) -> tuple[object, ...]:
    """Give what can be known of a file without reading it, by which a change is noticed."""
    if path is None:
        return ()
    if isinstance(path, Far):
        return path.stamp()
    try:
        status = path.stat()
    except OSError:
        return (path.name,)
    return path.name, status.st_size, status.st_mtime_ns
