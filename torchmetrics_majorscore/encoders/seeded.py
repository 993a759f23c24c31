"""Seeded random weights, written as the public checkpoint files are: for tests and benchmarks without a download."""

import json
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders import clap, clip, cmcr, ex_mcr, wav2clip
from torchmetrics_majorscore.encoders.base import clean_build, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import Weights, write_tensors
from torchmetrics_majorscore.encoders.htsat import HTSATOptions, WindowAttention, build_htsat
from torchmetrics_majorscore.encoders.laion import AUDIO, to_laion
from torchmetrics_majorscore.extras import needs_extra

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
POSITIONS = 514


def write_seeded(folder: Path, seed: int = 0) -> None:
    """Write a weights folder of full size, 1.3 GB, with random numbers in it. Its scores mean nothing.

    Every file has the name, the layout and the shapes of its public model. With seed 0 the encoders have the same bits
    as those of ``weights="seeded"``.

    Args:
        folder: made if it does not exist; files of the same names are replaced.
        seed: of the random numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "SEEDED").touch()  # the loader then puts "-seeded" into the encoder's name
    _write_roberta(folder / "roberta-base")
    source = Weights("seeded", seeded=True)
    with clean_build():
        write_tensors(folder / "open_clip_model.safetensors", _seeded(clip.load_network(source), seed))
        torch.save(_seeded(cmcr.load_heads(source), seed), folder / "clap_clip.pt")
        torch.save(_seeded(ex_mcr.load_head(source), seed), folder / "ex_clap.pt")
        sounds = _seeded(wav2clip.load_tower(source).network, seed)
        torch.save({**sounds, wav2clip.WINDOW: torch.hann_window(wav2clip.N_FFT)}, folder / "Wav2CLIP.pt")
        towers = _seeded(clap.load_network(source, with_text=True), seed)
        torch.save(_as_laion_clap(towers, seed), folder / "630k-fusion-best.pt")


def _seeded(network: nn.Module, seed: int) -> dict[str, Tensor]:
    seed_weights(network, seed)
    return {name: tensor.contiguous() for name, tensor in network.state_dict().items()}


def _as_laion_clap(towers: dict[str, Tensor], seed: int) -> dict[str, Any]:
    """Lay tensors out as a training checkpoint of laion_clap: with all that scoring does not need, and a prefix."""
    import numpy as np

    unused = nn.Module()
    for name in ("text_transform", "audio_transform"):
        layers = nn.Module()
        layers.sequential = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.1), nn.Linear(512, 512))
        unused.add_module(name, layers)
    unused.audio_branch = nn.Module()
    unused.audio_branch.tscam_conv = nn.Conv2d(768, 527, (2, 3))
    unused.audio_branch.head = nn.Linear(527, 527)
    extra = {name: torch.tensor(1 / 0.07).log() for name in ("logit_scale_a", "logit_scale_t")}
    extra["text_branch.embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    tensors = {**extra, **_fixed(), **to_laion(towers), **_seeded(unused, seed)}
    return {
        "epoch": np.int64(1),
        "name": "seeded",
        "state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()},
        "val_metric": np.float32(0.0),
        "best": np.float64(0.0),
    }


def _fixed() -> dict[str, Tensor]:
    """Make the tensors of laion_clap's audio network that nothing is learned in: mel matrices, and masks by size."""
    mel = replace(clap.MEL, fusion=False)
    waves = torch.fft.rfft(torch.eye(mel.n_fft, dtype=torch.float64)) * torch.hann_window(mel.n_fft)[:, None]
    stft = f"{AUDIO}spectrogram_extractor.stft"
    tensors = {
        f"{stft}.conv_real.weight": waves.real.T[:, None].float().contiguous(),
        f"{stft}.conv_imag.weight": waves.imag.T[:, None].float().contiguous(),
        f"{AUDIO}logmel_extractor.melW": mel.bands,
    }
    for name, block in build_htsat(HTSATOptions()).named_modules():
        if isinstance(block, WindowAttention):
            stem = f"{AUDIO}{name.removesuffix('.attention')}"
            tensors[f"{stem}.attn.relative_position_index"] = block.offsets()
            if block.shift:
                tensors[f"{stem}.attn_mask"] = block.strangers()
    return tensors


def _write_roberta(folder: Path) -> None:
    """Write a byte-level BPE of RoBERTa's size and layout, whose merges are made up: pairs of byte symbols."""
    needs_extra("transformers", "cmcr")
    from tokenizers.pre_tokenizers import ByteLevel

    symbols = sorted(ByteLevel.alphabet())
    count = clap.VOCABULARY - len(SPECIAL_TOKENS) - len(symbols) - 1
    merges = list(islice(product(symbols, repeat=2), count))
    tokens = [*SPECIAL_TOKENS, *symbols, *("".join(pair) for pair in merges), "<mask>"]
    folder.mkdir(exist_ok=True)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges), ""]), encoding="utf-8")
