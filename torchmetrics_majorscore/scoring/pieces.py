"""Pictures and sound of a clip, read piece by piece: a clip costs no more memory for being long."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders.base import join_rows
from torchmetrics_majorscore.encoders.resize import prepare_frames
from torchmetrics_majorscore.media import ClipStream
from torchmetrics_majorscore.modalities import MODALITIES
from torchmetrics_majorscore.modalities.audio import find_doubt

FPS = 1.0
HELD = 2**26
"""Bytes of frames, and of sound, that are kept of one clip before it is encoded; what is longer is read again then."""
LARGEST = 2**31


class Pieces(ABC):
    """One modality of a clip; every pass over it reads the files anew.

    Args:
        opened: opens the clip.

    Attributes:
        seconds: how long it lasts, once a pass has come to its end.
        remarks: what is noteworthy of it, likewise.
    """

    def __init__(self, opened: Callable[[], ClipStream]) -> None:
        self.opened = opened
        self.seconds: float | None = None
        self.remarks: list[str] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Tensor]:
        """Yield consecutive frames or samples."""

    def whole(self, most: int) -> Tensor | None:
        """Join the pieces; None if that takes more than ``most`` bytes."""
        size = 0

        def held() -> Iterator[Tensor]:
            nonlocal size
            for piece in self:
                size += piece.numel() * piece.element_size()
                if size > most:
                    return
                yield piece

        joined = join_rows(held())
        return joined if size <= most else None


class Pictures(Pieces):
    """Frames (T, 3, H, W), uint8, at the rate of the clip; those of one picture that stays on screen share its memory.

    Args:
        opened: opens the clip, which has a video.
        frame_size: height and width to bring frames to; None for those of the first.
        fps: at which the clip is opened.

    Attributes:
        share: of the frames those that are pictures of their own, once a pass has come to its end.
    """

    def __init__(self, opened: Callable[[], ClipStream], frame_size: int | None, fps: float = FPS) -> None:
        super().__init__(opened)
        self.frame_size = frame_size
        self.fps = fps
        self.share = 1.0

    def __iter__(self) -> Iterator[Tensor]:
        """Yield each picture as often as it is shown."""
        clip, shown, own = self.opened(), 0, 0
        for picture, count in clip.frames():
            frame = torch.from_numpy(picture)[None]
            frame = prepare_frames(frame, self.frame_size) if self.frame_size else frame
            yield frame.expand(count, -1, -1, -1)
            shown, own = shown + count, own + 1
        self.share = own / max(1, shown)
        self.seconds, self.remarks = shown / self.fps, clip.remarks


class Sound(Pieces):
    """Mono samples (S,), float32.

    Args:
        opened: opens the clip.

    Attributes:
        sample_rate: in Hz, once a piece has come.
    """

    audio = MODALITIES["audio"]

    def __init__(self, opened: Callable[[], ClipStream]) -> None:
        super().__init__(opened)
        self.sample_rate = 0

    def __iter__(self) -> Iterator[Tensor]:
        """Yield blocks, mixed and checked."""
        clip, samples = self.opened(), 0
        low, high = math.inf, -math.inf
        for block, rate in clip.sound():
            self.sample_rate = self.audio.check_rate(rate) or 0
            checked = self.audio.check([torch.from_numpy(block)], rate)
            if checked.reasons:
                raise ValueError(f"audio {checked.reasons[0]}")
            mono: Tensor = checked.samples[0]
            low, high = min(low, mono.min().item()), max(high, mono.max().item())
            samples += len(mono)
            yield mono
        if not samples:
            raise ValueError("no audio stream")
        doubt = find_doubt(low, high)
        self.seconds, self.remarks = samples / self.sample_rate, clip.remarks + ([f"audio {doubt}"] if doubt else [])
