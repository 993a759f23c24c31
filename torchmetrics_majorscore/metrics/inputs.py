"""Checks at the door of ``update``: raw batches to lists of samples, with a reason for every sample that has no value.

A mistake in the whole batch (shape, dtype, range) raises ValueError and nothing of the batch is kept. A defect of one
sample (no frames, NaN, empty caption, None) leaves that sample without an embedding, and the others are scored.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

Video = Tensor | Sequence[Tensor | None]
Text = Sequence[str | None]
Audio = Tensor | Sequence[Tensor | None]

# Generated audio may overshoot a little, which is clipped as laion_clap clips it; int16 values as float are far above.
LOUDEST = 10.0
MOST_CHANNELS = 32

T = TypeVar("T", Tensor, str)
Checked = tuple[list[T | None], dict[int, str]]
"""The samples, None where there is no value, and the reason of each None."""


def check_inputs(
    inputs: Mapping[str, Any], ids: Any, fps: float | None, sample_rate: int | None, *, quiet: bool
) -> dict[str, list[Any]]:
    """Check the inputs of a batch, and warn of the samples that have no value.

    Args:
        inputs: modality to a batch, as ``update`` takes it.
        ids: those of the batch, to name samples by; None without.
        fps: frames per second of video.
        sample_rate: of audio in Hz.
        quiet: do not warn.

    Returns:
        Modality to samples, None where a sample has no value.

    Raises:
        ValueError: a batch that does not fit, or batches of different lengths.
    """
    checks: dict[str, Callable[[Any], tuple[list[Any], dict[int, str]]]] = {
        "video": lambda video: check_video(video, fps),
        "text": check_text,
        "audio": lambda audio: check_audio(audio, sample_rate),
    }
    checked = {modality: checks[modality](given) for modality, given in inputs.items()}
    samples = {modality: kept for modality, (kept, _) in checked.items()}
    if len({len(kept) for kept in samples.values()}) > 1:
        counts = ", ".join(f"{modality} {len(kept)}" for modality, kept in samples.items())
        raise ValueError(f"Expected as many samples in every input, got {counts}.")
    for modality, (_, reasons) in checked.items() if not quiet else ():
        for index, reason in reasons.items():
            name = f"sample {index}" if ids is None else f"sample {index} (id {ids[index]})"
            warnings.warn(f"{modality} of {name} {reason}; its pairs have no value.", stacklevel=2)
    return samples


def check_embeddings(embeddings: Mapping[str, Tensor], spaces: Sequence[Sequence[str]]) -> int:
    """Check given embeddings.

    Args:
        embeddings: name to (B, D), floating.
        spaces: the names of each space; all are needed.

    Returns:
        The number of samples.

    Raises:
        ValueError: other names, no floating (B, D), or shapes that do not fit each other.
    """
    names = [name for space in spaces for name in space]
    if set(embeddings) != set(names):
        raise ValueError(f"Expected embeddings of {', '.join(names)}, got {', '.join(embeddings) or 'none'}.")
    for name, embedding in embeddings.items():
        if not isinstance(embedding, Tensor) or embedding.ndim != 2 or not embedding.is_floating_point():
            got = f"{tuple(embedding.shape)} {embedding.dtype}" if isinstance(embedding, Tensor) else embedding
            raise ValueError(f"Expected embeddings (B, D) of a floating dtype for {name}, got {got}.")
    for space in spaces:
        if len({embeddings[name].shape for name in space}) > 1:
            listed = ", ".join(f"{name} {tuple(embeddings[name].shape)}" for name in space)
            raise ValueError(f"Expected embeddings of one shape (B, D) in a space, got {listed}.")
    counts = [len(embeddings[space[0]]) for space in spaces]
    if len(set(counts)) > 1:
        raise ValueError(f"Expected as many samples in every space, got {counts}.")
    return counts[0]


def check_video(video: Video, fps: float | None) -> Checked[Tensor]:
    """Check frames and pick those at t = 0, 1, 2, ... s.

    Args:
        video: (B, T, 3, H, W) or a list of (T, 3, H, W) or None, uint8 RGB or float in [0, 1].
        fps: frames per second of the input.

    Returns:
        Picked frames, uint8, (ceil(T / fps), 3, H, W) per sample, and the reasons of those that are missing.

    Raises:
        ValueError: no fps, a wrong shape or dtype, or float values beyond [0, 1].
    """
    if fps is None or not 0 < fps < math.inf:
        raise ValueError(f"Expected fps > 0 to score raw video, got {fps}: pass the frame rate, e.g. fps=8.")
    if isinstance(video, Tensor) and video.ndim != 5:
        hint = "; a batch of images needs a frame dimension" if video.ndim == 4 else ""
        raise ValueError(f"Expected video (B, T, 3, H, W) or a list of (T, 3, H, W), got {tuple(video.shape)}{hint}.")
    samples: list[Tensor | None] = []
    reasons: dict[int, str] = {}
    for index, frames in enumerate(video):
        reason = "is missing" if frames is None else _check_frames(frames)
        if frames is None or reason:
            reasons[index] = reason
            samples.append(None)
            continue
        # The small number keeps 2 * 29.97 from ending below its frame.
        times = range(math.ceil(len(frames) / fps - 1e-6))
        picked = frames[[min(int(second * fps + 1e-6), len(frames) - 1) for second in times]]
        samples.append(_to_uint8(picked))
    return samples, reasons


def _check_frames(frames: Tensor) -> str:
    if not isinstance(frames, Tensor):
        raise ValueError(f"Expected frames as a tensor, got {type(frames).__name__}; media.read_frames reads files.")
    if frames.ndim != 4 or frames.shape[1] != 3 or 0 in frames.shape[2:]:
        hint = "; channels last? use .movedim(-1, -3)" if frames.ndim == 4 and frames.shape[-1] == 3 else ""
        raise ValueError(f"Expected frames (T, 3, H, W) per sample, got {tuple(frames.shape)}{hint}.")
    if frames.dtype != torch.uint8 and not frames.is_floating_point():
        raise ValueError(f"Expected video as uint8 or float, got {frames.dtype}.")
    if len(frames) == 0:
        return "has no frames"
    if frames.is_floating_point():
        low, high = (bound.item() for bound in frames.aminmax())
        if math.isnan(low + high) or math.isinf(low + high):
            return "has NaN or infinite values"
        if low < -1e-3 or high > 1 + 1e-3:
            hint = "normalised to [-1, 1]? use (video + 1) / 2" if low < 0 else "0 to 255 as float? use uint8"
            raise ValueError(f"Expected float video in [0, 1], got values from {low:.4g} to {high:.4g}; {hint}.")
    return ""


def _to_uint8(frames: Tensor) -> Tensor:
    # CLIP's preparation starts from 8-bit pictures, so float and uint8 frames of one picture have one score.
    return frames if frames.dtype == torch.uint8 else (frames.float() * 255.0).round().clamp(0, 255).to(torch.uint8)


def check_audio(audio: Audio, sample_rate: int | None) -> Checked[Tensor]:
    """Check waveforms and mix them to mono.

    Args:
        audio: (B, S), (B, C, S) or a list of (S,) or (C, S) or None; float in [-1, 1] or int16.
        sample_rate: rate of the input in Hz; must be given.

    Returns:
        Mono waveforms (S,), float32, and the reasons of those that are missing.

    Raises:
        ValueError: no sample rate, a wrong shape or dtype, or values far beyond [-1, 1].
    """
    if sample_rate is None or not sample_rate > 0:
        raise ValueError(f"Expected sample_rate > 0 to score raw audio, got {sample_rate}: pass it, e.g. 16000.")
    if isinstance(audio, Tensor) and audio.ndim not in (2, 3):
        hint = "; one waveform needs a batch dimension" if audio.ndim == 1 else ""
        raise ValueError(f"Expected audio (B, S), (B, C, S) or a list of waveforms, got {tuple(audio.shape)}{hint}.")
    samples: list[Tensor | None] = []
    reasons: dict[int, str] = {}
    for index, waveform in enumerate(audio):
        reason = "is missing" if waveform is None else _check_waveform(waveform)
        if waveform is None or reason:
            reasons[index] = reason
            samples.append(None)
            continue
        scaled = waveform.float() / (32768.0 if waveform.dtype == torch.int16 else 1.0)
        samples.append(scaled.mean(dim=0) if scaled.ndim == 2 else scaled)
        if not waveform.any():
            warnings.warn(f"audio of sample {index} is silent (every value is 0); it is scored as it is.", stacklevel=2)
    return samples, reasons


def _check_waveform(waveform: Tensor) -> str:
    if not isinstance(waveform, Tensor):
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


def check_text(text: Text) -> Checked[str]:
    """Check captions.

    Args:
        text: a list of str or None.

    Returns:
        The captions, and the reasons of those that are missing; a caption of white space alone counts as missing.

    Raises:
        ValueError: a single string, or an entry that is no string.
    """
    if not isinstance(text, Sequence):
        raise ValueError(f"Expected a list of captions, got {type(text).__name__}.")
    if isinstance(text, str):
        raise ValueError(f"Expected a list of captions, got the string {text[:40]!r}; put it into a list.")
    samples: list[str | None] = []
    reasons: dict[int, str] = {}
    for index, caption in enumerate(text):
        if caption is not None and not isinstance(caption, str):
            raise ValueError(f"Expected each caption to be a str, got {type(caption).__name__}.")
        if caption is None or not caption.strip():
            reasons[index] = "is missing" if caption is None else "is empty"
            caption = None
        samples.append(caption)
    return samples, reasons
