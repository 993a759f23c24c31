"""Audio: waveforms, mixed to mono and brought to the encoder's rate on its device."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.modalities.base import Checked, Modality, check_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch
    from torch import Tensor

# Generated and decoded audio overshoots a little, which is clipped as laion_clap clips it; int16 as float is far
# above.
LOUDEST = 10.0
OVERSHOOT = 1.1
STEP = 1 / 32767  # CLAP hears 16-bit values
MOST_CHANNELS = 32


class Audio(Modality):
    """(B, S), (B, C, S) or a list of (S,) or (C, S); float in [-1, 1] or int16, at ``sample_rate``."""

    name = "audio"
    columns = ("audio",)
    suffixes = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac")
    rate = "sample_rate"
    condition = False

    def check_rate(self, rate: Any) -> int | None:
        """Check ``sample_rate``: whole Hz, from 100 to 768 000; None until raw audio comes."""
        if rate is None:
            return None
        number = check_number("sample_rate", rate, 100, 768_000, "sample_rate=16000")
        if number != int(number):
            raise ValueError(f"Expected sample_rate in whole Hz, got {rate!r}.")
        return int(number)

    def check(self, batch: Any, rate: int | None = None) -> Checked:
        """Check waveforms and mix them to mono: (S,), float32."""
        from torch import Tensor

        if rate is None:
            raise ValueError("Expected sample_rate > 0 to score raw audio, got None: pass it, e.g. sample_rate=16000.")
        if isinstance(batch, Tensor) and batch.ndim not in (2, 3):
            hint = "; one waveform needs a batch dimension" if batch.ndim == 1 else ""
            raise ValueError(
                f"Expected audio (B, S), (B, C, S) or a list of waveforms, got {tuple(batch.shape)}{hint}."
            )
        checked = Checked()
        for waveform in batch:
            reason = "is missing" if waveform is None else _find_fault(waveform)
            if waveform is None or reason:
                checked.add(None, reason)
                continue
            mono = mix(waveform)
            checked.add(mono, remark=find_doubt(mono.min().item(), mono.max().item()), seconds=len(mono) / rate)
        return checked

    def prepare(self, sample: Tensor, rate: int | None, encoder: Any, device: torch.device) -> Tensor:
        """Resample on the device to the encoder's rate."""
        from torchmetrics_majorscore.encoders.resample import resample

        return resample(sample.to(device), rate or encoder.sample_rate, encoder.sample_rate)

    def prepare_pieces(
        self, pieces: Iterable[Tensor], rate: int | None, encoder: Any, device: torch.device
    ) -> Iterator[Tensor]:
        """Resample pieces as the whole."""
        from torchmetrics_majorscore.encoders.resample import resample_pieces

        moved = (piece.to(device) for piece in pieces)
        return resample_pieces(moved, rate or encoder.sample_rate, encoder.sample_rate)


def mix(waveform: Tensor) -> Tensor:
    """Mix (S,) or (C, S), float or int16, to mono (S,), float32."""
    scaled = waveform.float() if waveform.is_floating_point() else waveform.float() / 32768.0
    return scaled.mean(dim=0) if scaled.ndim == 2 else scaled


def find_doubt(low: float, high: float) -> str:
    """Say what is noteworthy of a mono waveform with these bounds: that nothing is heard of it, or it is clipped.

    Silent is what becomes so on the way to the encoder: anti-phase stereo once mixed, an offset without sound, and
    what is smaller than one step of the 16-bit values that CLAP hears.
    """
    if high - low < STEP:
        return "is silent"
    peak = max(-low, high)
    return f"is clipped to [-1, 1] from a peak of {peak:.2f}" if peak > OVERSHOOT else ""


def _find_fault(waveform: Any) -> str:
    """Give the reason why a sample has no value, "" if there is none; what is wrong in the whole batch raises."""
    import torch

    if not isinstance(waveform, torch.Tensor):
        kind = type(waveform).__name__
        raise ValueError(f"Expected a waveform as a tensor, got {kind}; media.read_waveform reads files.")
    if waveform.ndim not in (1, 2) or (waveform.ndim == 2 and not 1 <= waveform.shape[0] <= MOST_CHANNELS):
        hint = "; channels come first" if waveform.ndim == 2 else ""
        raise ValueError(f"Expected a waveform (S,) or (C, S) per sample, got {tuple(waveform.shape)}{hint}.")
    if waveform.dtype != torch.int16 and not waveform.is_floating_point():
        raise ValueError(f"Expected audio as float or int16, got {waveform.dtype}.")
    if waveform.shape[-1] == 0:
        return "has no samples"
    if waveform.is_floating_point():
        peak = waveform.abs().max().item()
        if math.isnan(peak) or math.isinf(peak):
            return "has NaN or infinite values"
        if peak > LOUDEST:
            raise ValueError(
                f"Expected float audio in [-1, 1], waveform peak is {peak:.1f}; did you pass int16 values as float?"
            )
    return ""
