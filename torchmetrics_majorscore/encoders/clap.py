"""LAION-CLAP (HTSAT-tiny with fusion) from the installed laion_clap: waveforms to unit vectors, and CLAP's own texts.

How a waveform is prepared stands in ``mel.py``.
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
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import in_micro_batches, load_strictly, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.clip import encode_by_length
from torchmetrics_majorscore.encoders.htsat import embed_mels
from torchmetrics_majorscore.encoders.mel import FusedMel, MelOptions
from torchmetrics_majorscore.encoders.precision import Tower
from torchmetrics_majorscore.encoders.shared import state_digest
from torchmetrics_majorscore.encoders.table import Pool
from torchmetrics_majorscore.extras import needs_extra

MEL = MelOptions()
AUDIOS_PER_CALL = 4
LONGEST_TEXT = 77
VOCABULARY = 50_265


class CLAP(Tower):
    """CLAP's audio tower, frozen, with an optional head from CLAP's space into a joint space; text tower optional.

    Args:
        network: parts ``audio_branch``, ``audio_projection`` and, for texts, ``text_branch``, ``text_projection``.
        head: maps unit vectors (N, 512) into the joint space, row by row; None for CLAP's own space.
        tokenizer: RoBERTa's tokenizer, for texts.
        mel: length and resolution of the mels.
    """

    modalities = ("text", "audio")

    def __init__(
        self, network: nn.Module, head: nn.Module | None = None, tokenizer: Any = None, mel: MelOptions = MEL
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.head = head or nn.Identity()
        self.tokenizer = tokenizer
        self.mel = FusedMel(mel)
        self.sample_rate = mel.sample_rate
        self.name = "clap"
        self.eval().requires_grad_(False)

    def encode_audio(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode waveforms of any length.

        Args:
            batch: mono waveforms (S,), float32, at ``sample_rate``, S >= 1; values beyond [-1, 1] are clipped.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        mels = [self.mel(waveform) for waveform in batch]
        rows: list[Tensor] = [mels[0]] * len(mels)
        # Long waveforms pass through further layers: they get micro-batches of their own.
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
        with self.running():
            pooled = self.network.text_branch(input_ids=tokens, attention_mask=attended)["pooler_output"]
            embedded = self.network.text_projection(pooled)
        return normalize(embedded.float(), dim=-1)

    def _mels(self, mels: Tensor) -> Tensor:
        with self.running():
            embedded = self._audio(mels)
        return self._project(normalize(embedded.float(), dim=-1))

    def _project(self, embedded: Tensor) -> Tensor:
        return normalize(self.head(embedded), dim=-1)

    def _audio(self, mels: Tensor) -> Tensor:
        embedded: Tensor = self.network.audio_projection(embed_mels(self.network.audio_branch, mels))
        return embedded


def load_network(weights: Weights, *, with_text: bool = False) -> nn.Module:
    """Build CLAP's towers and load ``630k-fusion-best.pt``: the audio tower, and the text tower if wanted."""
    audio = SimpleNamespace(
        model_name="tiny", class_num=527, mel_bins=MEL.n_mels, sample_rate=MEL.sample_rate, window_size=MEL.n_fft,
        hop_size=MEL.hop_length, fmin=MEL.f_min, fmax=MEL.f_max,
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
