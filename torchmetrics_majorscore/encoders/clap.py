"""LAION-CLAP (HTSAT-tiny with fusion) from the installed laion_clap: waveforms to unit vectors, and CLAP's own texts.

Preparation of a waveform, as laion_clap does it: mono at 48 kHz; values to 16-bit steps; up to 10 s repeated whole and
filled with zeros; log-mel with 64 bands. Longer ones keep the whole mel shrunk to 10 s and three 10 s chunks of it.
laion_clap draws the chunks' starts at random from the thirds of the possible range; here each is the middle of its
third, so that a waveform has one embedding.
"""

import importlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, pad

from torchmetrics_majorscore.encoders.base import in_micro_batches, load_strictly, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.clip import encode_by_length
from torchmetrics_majorscore.encoders.shared import state_digest
from torchmetrics_majorscore.encoders.table import Pool
from torchmetrics_majorscore.extras import needs_extra

SAMPLE_RATE = 48_000
SAMPLES = 480_000
HOP = 480
FRAMES = SAMPLES // HOP + 1
MEL = {"n_fft": 1024, "hop_length": HOP, "n_mels": 64, "f_min": 50.0, "f_max": 14_000.0}
AUDIOS_PER_CALL = 4
LONGEST_TEXT = 77
VOCABULARY = 50_265


class CLAP(nn.Module):
    """CLAP's audio tower, frozen, with an optional head from CLAP's space into a joint space; text tower optional.

    Args:
        network: parts ``audio_branch``, ``audio_projection`` and, for texts, ``text_branch``, ``text_projection``.
        head: maps unit vectors (N, 512) into the joint space, row by row; None for CLAP's own space.
        tokenizer: RoBERTa's tokenizer, for texts.
    """

    modalities = ("text", "audio")
    sample_rate = SAMPLE_RATE

    def __init__(self, network: nn.Module, head: nn.Module | None = None, tokenizer: Any = None) -> None:
        super().__init__()
        from torchaudio.transforms import AmplitudeToDB, MelSpectrogram

        self.network: Any = network
        self.head = head or nn.Identity()
        self.tokenizer = tokenizer
        self.mel = nn.Sequential(MelSpectrogram(SAMPLE_RATE, **MEL), AmplitudeToDB(top_db=None))
        self.name = "clap"
        self.eval().requires_grad_(False)

    def encode_audio(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode waveforms of any length.

        Args:
            batch: mono waveforms (S,), float32, 48 kHz, S >= 1; values beyond [-1, 1] are clipped.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        mels = [self._fused_mel(waveform) for waveform in batch]
        rows: list[Tensor] = [mels[0]] * len(mels)
        # Waveforms over 10 s pass through further layers: they get micro-batches of their own.
        for channels in (1, 4):
            chosen = [row for row, mel in enumerate(mels) if len(mel) == channels]
            if chosen:
                embedded = in_micro_batches(self._mels, torch.stack([mels[row] for row in chosen]), AUDIOS_PER_CALL)
                for row, embedding in zip(chosen, embedded, strict=True):
                    rows[row] = embedding
        return torch.stack(rows)

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions with CLAP's own text tower (RoBERTa), as they are.

        Args:
            batch: captions; over 77 tokens they are cut, as laion_clap does, with a warning.

        Returns:
            Unit-norm embeddings, float32, (B, 512), in CLAP's own space.
        """
        longest = max(len(ids) for ids in self.tokenizer(list(batch))["input_ids"])
        if longest > LONGEST_TEXT:
            warnings.warn(f"A caption of {longest} tokens is cut to {LONGEST_TEXT}.", stacklevel=2)
        tokens = self.tokenizer(
            list(batch), padding="max_length", truncation=True, max_length=LONGEST_TEXT, return_tensors="pt"
        )
        device = next(self.network.parameters()).device
        return encode_by_length(
            self._texts, tokens["input_ids"].to(device), tokens["attention_mask"].sum(dim=-1).tolist()
        )

    def _texts(self, tokens: Tensor) -> Tensor:
        attended = (tokens != self.tokenizer.pad_token_id).long()
        pooled = self.network.text_branch(input_ids=tokens, attention_mask=attended)["pooler_output"]
        return normalize(self.network.text_projection(pooled), dim=-1)

    def _mels(self, mels: Tensor) -> Tensor:
        longer = torch.full((len(mels),), mels.shape[1] == 4, device=mels.device)
        output = self.network.audio_branch({"mel_fusion": mels, "longer": longer}, device=mels.device)
        embedded = normalize(self.network.audio_projection(output["embedding"]), dim=-1)
        return normalize(self.head(embedded), dim=-1)

    def _fused_mel(self, waveform: Tensor) -> Tensor:
        """Give (1, 1001, 64) for up to 10 s, else (4, 1001, 64): the shrunk whole and three chunks."""
        mel: Tensor = self.mel(fill(to_16_bit(waveform))).T
        if len(mel) == FRAMES:
            return mel[None]
        # No antialiasing: torchvision's resize had none when the network was trained.
        shrunk = interpolate(mel[None, None], size=(FRAMES, mel.shape[1]), mode="bilinear", antialias=False)[0]
        chunks = [mel[start : start + FRAMES] for start in chunk_starts(len(mel))]
        return torch.cat([shrunk, torch.stack(chunks)])


def to_16_bit(waveform: Tensor) -> Tensor:
    """Round a waveform towards zero to 16-bit steps, as laion_clap does: trunc(clamp(x) * 32767) / 32767."""
    return (waveform.clamp(-1.0, 1.0) * 32767.0).trunc() / 32767.0


def fill(waveform: Tensor) -> Tensor:
    """Repeat a waveform as often as it fits whole into 10 s, then add zeros; longer ones are returned as they are."""
    if len(waveform) >= SAMPLES:
        return waveform
    repeated = waveform.repeat(SAMPLES // len(waveform))
    return pad(repeated, (0, SAMPLES - len(repeated)))


def chunk_starts(frames: int) -> list[int]:
    """Choose the first frames of the three 10 s chunks of a longer mel: the middle of each third of what is possible.

    Args:
        frames: mel frames of the whole waveform, more than 1001.

    Returns:
        Three starts in [0, frames - 1001]; a third that is empty gives 0, as in laion_clap.
    """
    possible = frames - FRAMES + 1
    sizes = [possible // 3 + (third < possible % 3) for third in range(3)]
    return [sum(sizes[:third]) + size // 2 if size else 0 for third, size in enumerate(sizes)]


def load_network(weights: Weights, *, with_text: bool = False) -> nn.Module:
    """Build CLAP's towers and load ``630k-fusion-best.pt``: the audio tower, and the text tower if wanted."""
    audio = SimpleNamespace(
        model_name="tiny", class_num=527, mel_bins=64, sample_rate=SAMPLE_RATE, window_size=1024, hop_size=HOP,
        fmin=50, fmax=14_000,
    )  # fmt: skip
    network = nn.Module()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.meshgrid")  # laion_clap calls it the old way
        network.audio_branch = _htsat().create_htsat_model(audio, enable_fusion=True, fusion_type="aff_2d")
    network.audio_projection = nn.Sequential(nn.Linear(768, 512), nn.ReLU(), nn.Linear(512, 512))
    if with_text:
        needs_extra("transformers", "cmcr")
        from transformers import RobertaConfig, RobertaModel

        config = RobertaConfig(
            vocab_size=VOCABULARY, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
        )
        network.text_branch = RobertaModel(config)
        network.text_projection = nn.Sequential(nn.Linear(768, 512), nn.ReLU(), nn.Linear(512, 512))
    if weights.seeded and not weights.folder:
        seed_weights(network)
    else:
        _load(network, weights.read("clap"), weights.path("clap").name)
    return network


def _load(network: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    towers = tuple(f"{tower}." for tower, _ in network.named_children())
    # Old checkpoints hold RoBERTa's position numbers, which are no weights.
    own = {key: t for key, t in tensors.items() if key.startswith(towers) and not key.endswith("position_ids")}
    load_strictly(network, own, name)


def load_tokenizer(weights: Weights) -> Any:
    """Load RoBERTa's tokenizer from its two files.

    Raises:
        ValueError: its vocabulary is not RoBERTa's (transformers gives an empty one instead of raising).
    """
    needs_extra("transformers", "cmcr")
    from transformers import RobertaTokenizer

    if weights.seeded and not weights.folder:
        raise ValueError(
            "Expected a weights folder for CLAP's text tower, got 'seeded', which has no tokenizer: write one "
            "with `majorscore weights seeded FOLDER`."
        )
    vocabulary, merges = weights.path("roberta-vocab"), weights.path("roberta-merges")
    tokenizer = RobertaTokenizer.from_pretrained(str(vocabulary.parent))
    if len(tokenizer) != VOCABULARY:
        raise ValueError(f"Expected {vocabulary} and {merges.name} to give {VOCABULARY} tokens, got {len(tokenizer)}.")
    return tokenizer


def load(weights: Weights, pool: Pool) -> CLAP:
    """Build CLAP in its own space, with its own text tower."""
    clap = CLAP(load_network(weights, with_text=True), tokenizer=load_tokenizer(weights))
    clap.name = f"clap{'-seeded' if weights.seeded else ''}@{state_digest(clap)}"
    return clap


def _htsat() -> ModuleType:
    """Import laion_clap's audio network alone.

    ``import laion_clap`` builds tokenizers over the network, changes ``sys.path`` and prints. A package of another name
    over the same folder gives its module ``htsat`` without running any ``__init__``.
    """
    needs_extra("laion_clap", "cmcr")
    name = "torchmetrics_majorscore._laion_clap"
    if name not in sys.modules:
        spec = find_spec("laion_clap")
        locations = spec.submodule_search_locations if spec else None
        package = ModuleType(name)
        package.__path__ = [str(Path(folder) / "clap_module") for folder in locations or ()]
        sys.modules[name] = package
    return importlib.import_module(f"{name}.htsat")
