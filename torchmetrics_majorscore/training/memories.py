"""Training a connector from files: embeddings that are computed once, and the heads.

Of an image or a video only pictures are decoded, of a sound only samples, and the two never meet before the memories.
Embeddings are kept in ``<output>/memories``, each file with a key of all that they depend on: with another recipe a run
only trains, and what belongs to a changed encoder or input is encoded again.
"""

import dataclasses
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore import __version__
from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media import open_clip, read_frames, read_waveform
from torchmetrics_majorscore.modalities.audio import LOUDEST
from torchmetrics_majorscore.training.config import Config, Piece, read_config
from torchmetrics_majorscore.training.connector import Embeddings, save_heads, train_connector
from torchmetrics_majorscore.training.kept import kept_rows

BATCH = {"text": 256, "video": 16, "image": 16, "audio": 16}  # samples in memory at a time
WORKERS = 4  # decoding threads


def connect(config: Path) -> Path:
    """Train a connector as a YAML config says.

    Args:
        config: path of the config, see ``docs/connect.yaml``; relative paths in it start from its folder.

    Returns:
        The output folder, with ``clap_clip.pt`` and ``clap_clip.safetensors``.

    Raises:
        FileNotFoundError: there is no such config.
        ValueError: a mistake in it, with its key; or nothing of an input can be read.
    """
    read = read_config(config)
    encoders = {"clip": read.clip.name, "clap": read.clap.name}
    embeddings = encode_inputs(read)
    heads = train_connector(embeddings, read.options)
    counts = {field.name: len(getattr(embeddings, field.name)) for field in dataclasses.fields(embeddings)}
    recipe = {"options": dataclasses.asdict(read.options), "encoders": encoders, "rows": counts}
    save_heads(heads, read.output, {**recipe, "majorscore": __version__})
    return read.output


def encode_inputs(config: Config) -> Embeddings:
    """Encode texts, images and sounds, or take the embeddings of an earlier run if nothing has changed.

    Args:
        config: as :func:`read_config` gives it.

    Returns:
        The embeddings, on the CPU. A file that cannot be read is left out, with a warning that names it.

    Raises:
        ValueError: nothing of an input can be read.
    """
    return Embeddings(
        text_clip=_embed(config, "text_clip", config.clip, "text", config.texts),
        text_clap=_embed(config, "text_clap", config.clap, "text", config.texts),
        image=_embed(config, "image", config.clip, "video", config.images),
        audio=_embed(config, "audio", config.clap, "audio", config.audios),
    )


def _embed(config: Config, name: str, encoder: SharedEncoder, modality: str, inputs: Sequence[Any]) -> Tensor:
    path = config.output / "memories" / f"{name}.safetensors"
    key = rows_key(encoder, modality, inputs)
    rows, left_out = kept_rows(path, key, encoder.name, lambda: encode_pieces(encoder, modality, inputs))
    for reason in left_out:
        warnings.warn(f"Left out of the {name} embeddings: {reason}", stacklevel=2)
    rows = rows[~rows.isnan().any(dim=-1)]
    if len(rows) == 0:
        raise ValueError(f"Expected something to read for the {name} embeddings, got none of {len(inputs)} files.")
    return rows


def rows_key(encoder: SharedEncoder, modality: str, inputs: Sequence[str | Piece]) -> str:
    """Hash all that embeddings depend on: this version, the encoder's weights, the texts or the files."""
    sha = hashlib.sha256(f"{__version__}|{encoder.name}|{modality}".encode())
    for item in inputs:
        parts: list[Any] = [item] if isinstance(item, str) else [str(item.path), item.start, item.end]
        if isinstance(item, Piece) and item.path.is_file():
            parts += [item.path.stat().st_size, item.path.stat().st_mtime_ns]
        sha.update(json.dumps(parts).encode() + b"\n")
    return sha.hexdigest()


def encode_pieces(encoder: SharedEncoder, modality: str, inputs: Sequence[Any]) -> tuple[Tensor, list[str]]:
    """Encode inputs in batches: a row for each, NaN for those that cannot be read, and why they cannot.

    A picture is a video of one frame to an encoder that has no images.
    """
    needs_extra("tqdm", "media")
    from tqdm import tqdm

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    readers: dict[str, Callable[[Any], Any]] = {"image": _read_picture, "audio": _read_sound}
    readers |= {"video": partial(_read_pictures, fps=encoder.fps)}
    read, encode = readers.get(modality, lambda text: text), partial(_encode, encoder, modality, device)
    rows: list[Tensor | Exception] = []
    size = BATCH[modality]
    with ThreadPoolExecutor(WORKERS) as workers, tqdm(total=len(inputs), desc=modality) as bar:
        for first in range(0, len(inputs), size):
            samples: list[Any] = list(workers.map(read, inputs[first : first + size]))
            rows += _of_each(encode, samples)
            bar.update(len(samples))
    left_out = [_named(error, one) for error, one in zip(rows, inputs, strict=True) if isinstance(error, Exception)]
    made = [row for row in rows if not isinstance(row, Exception)]
    missing = torch.full((len(made[0]) if made else 1,), math.nan)
    every = [missing if isinstance(row, Exception) else row for row in rows]
    return torch.stack(every) if every else torch.empty(0, 1), left_out


def _encode(encoder: SharedEncoder, modality: str, device: torch.device, batch: Sequence[Any]) -> Tensor:
    """Encode samples that were read."""
    if modality == "audio":
        batch = [resample(mono.to(device), rate, encoder.sample_rate) for mono, rate in batch]
    if modality in ("video", "image"):
        batch = [pictures.to(device) for pictures in batch]
    if modality == "image" and modality not in encoder.modalities:
        modality, batch = "video", [picture[None] for picture in batch]
    return encoder.encode(modality, batch, device).cpu()


def _of_each(encode: Callable[[Sequence[Any]], Tensor], samples: Sequence[Any]) -> list[Tensor | Exception]:
    """Encode samples, each by itself where the encoder refuses them together; one that is refused stays an error."""
    read = [sample for sample in samples if not isinstance(sample, Exception)]
    try:
        made = iter(encode(read).unbind() if read else ())
    except ValueError as error:
        return [error] if len(samples) == 1 else [row for one in samples for row in _of_each(encode, [one])]
    return [sample if isinstance(sample, Exception) else next(made) for sample in samples]


def _named(error: Exception, one: str | Piece) -> str:
    name = repr(one) if isinstance(one, str) else str(one.path)
    return str(error) if name in str(error) else f"{name}: {error}"


def _read_pictures(piece: Piece, fps: float) -> Tensor | Exception:
    """Read frames (T, 3, H, W) and no sound, or give the error."""
    try:
        return read_frames(piece.path, fps=fps, start=piece.start, end=piece.end)
    except (OSError, ValueError) as error:
        return error


def _read_picture(piece: Piece) -> Tensor | Exception:
    """Read the first picture (3, H, W) of a file, or give the error."""
    try:
        picture, _ = next(open_clip(piece.path).frames())
    except (OSError, ValueError) as error:
        return error
    return torch.from_numpy(picture)


def _read_sound(piece: Piece) -> tuple[Tensor, int] | Exception:
    """Read a mono waveform (S,) with its rate in Hz and no picture, or give the error."""
    try:
        waveform, rate = read_waveform(piece.path, start=piece.start, end=piece.end)
    except (OSError, ValueError) as error:
        return error
    peak = waveform.abs().max().item()
    if not peak <= LOUDEST:  # NaN as well
        return ValueError(f"Expected samples in [-1, 1] in {piece.path}, got a peak of {peak}.")
    return waveform.mean(dim=0), rate
