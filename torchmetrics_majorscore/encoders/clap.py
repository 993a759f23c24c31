"""LAION-CLAP through transformers: waveforms to unit vectors, and CLAP's own texts.

How a waveform is prepared stands in ``mel.py``, how its network is run in ``htsat.py``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import in_micro_batches, load_strictly, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.clip import encode_by_length
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.htsat import HTSATOptions, build_htsat, embed_mels
from torchmetrics_majorscore.encoders.laion import from_laion, read_options
from torchmetrics_majorscore.encoders.mel import LogMel, MelOptions
from torchmetrics_majorscore.encoders.precision import Tower
from torchmetrics_majorscore.encoders.table import Pool
from torchmetrics_majorscore.extras import needs_extra

MEL = MelOptions()
AUDIOS_PER_CALL = 4
LONGEST_TEXT = 77
VOCABULARY = 50_265
ROBERTA: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}
DIM = 512
BASE = HTSATOptions(128, (2, 2, 12, 2), fusion=False)
"""laion_clap's "HTSAT-base", as in ``music_speech_audioset_epoch_15_esc_89.98.pt``."""


class CLAP(Tower):
    """CLAP's audio tower, frozen, with an optional head from CLAP's space into a joint space; text tower optional.

    Args:
        network: parts ``audio_branch``, ``audio_projection`` and, for texts, ``text_branch``, ``text_projection``.
        head: maps unit vectors (N, 512) into the joint space, row by row; None for CLAP's own space.
        tokenizer: RoBERTa's tokenizer, for texts.
        mel: how a sound is prepared for the network.
    """

    modalities = ("text", "audio")
    streams = True

    def __init__(
        self, network: nn.Module, head: nn.Module | None = None, tokenizer: Any = None, mel: MelOptions = MEL
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.head = head or nn.Identity()
        self.tokenizer = tokenizer
        self.mel = LogMel(mel)
        self.sample_rate = mel.sample_rate
        self.name = "clap"
        self.eval().requires_grad_(False)

    def encode_audio(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode waveforms of any length.

        Args:
            batch: mono waveforms (S,), float32, at ``sample_rate``, S >= 1; values beyond [-1, 1] are clipped. Or such
                pieces of one waveform, read once.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        return self.project_audio(self.embed_audio(batch))

    def embed_audio(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode waveforms as :meth:`encode_audio`, in CLAP's own space: unit vectors in front of the head."""
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

    def project_audio(self, embedded: Tensor) -> Tensor:
        """Map what :meth:`embed_audio` gives, (B, 512), to what :meth:`encode_audio` gives."""
        return in_micro_batches(self._project, embedded, AUDIOS_PER_CALL)

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions with CLAP's own text tower (RoBERTa), as they are.

        Args:
            batch: captions; over 77 tokens they are cut, as laion_clap does, see :meth:`remark_text`.

        Returns:
            Unit-norm embeddings, float32, (B, 512), in CLAP's own space.
        """
        tokens = self.tokenizer(
            list(batch), padding="max_length", truncation=True, max_length=LONGEST_TEXT, return_tensors="pt"
        )
        device = next(self.network.parameters()).device
        return encode_by_length(
            self._texts, tokens["input_ids"].to(device), tokens["attention_mask"].sum(dim=-1).tolist()
        )

    def remark_text(self, batch: Sequence[str]) -> dict[int, str]:
        """Say which captions are longer than the text tower reads."""
        lengths = [len(ids) for ids in self.tokenizer(list(batch))["input_ids"]]
        long = {place: length for place, length in enumerate(lengths) if length > LONGEST_TEXT}
        return {place: f"has {length} tokens and is cut to {LONGEST_TEXT}" for place, length in long.items()}

    def _texts(self, tokens: Tensor) -> Tensor:
        attended = (tokens != self.tokenizer.pad_token_id).long()
        with self.running():
            pooled = self.network.text_branch(input_ids=tokens, attention_mask=attended)["pooler_output"]
            embedded = self.network.text_projection(pooled)
        return normalize(embedded.float(), dim=-1)

    def _mels(self, mels: Tensor) -> Tensor:
        with self.running():
            embedded = self._audio(mels)
        return normalize(embedded.float(), dim=-1)

    def _project(self, embedded: Tensor) -> Tensor:
        return normalize(self.head(embedded), dim=-1)

    def _audio(self, mels: Tensor) -> Tensor:
        embedded: Tensor = self.network.audio_projection(embed_mels(self.network.audio_branch, mels))
        return embedded


def build_network(options: HTSATOptions, *, with_text: bool = False) -> nn.Module:
    """Build CLAP's audio tower, and its text tower if wanted; weights are random."""
    network = nn.Module()
    network.audio_branch = build_htsat(options)
    network.audio_projection = nn.Sequential(nn.Linear(options.dim, DIM), nn.ReLU(), nn.Linear(DIM, DIM))
    if with_text:
        from transformers import RobertaConfig, RobertaModel

        config = RobertaConfig(**ROBERTA)
        network.text_branch = RobertaModel(config)
        network.text_projection = nn.Sequential(nn.Linear(config.hidden_size, DIM), nn.ReLU(), nn.Linear(DIM, DIM))
    return network


def load_network(
    weights: Weights, file: str = "clap", *, with_text: bool = False, seeded: HTSATOptions | None = None
) -> nn.Module:
    """Build CLAP's towers and load a checkpoint of laion_clap: the audio tower, and the text tower if wanted.

    Args:
        weights: where the checkpoint is.
        file: key of the checkpoint.
        with_text: whether to load the text tower.
        seeded: size of the audio network if the weights are random.
    """
    if weights.drawn:
        network = build_network(seeded or HTSATOptions(), with_text=with_text)
        seed_weights(network)
        return network
    return fill_network(weights.read(file), weights.path(file).name, with_text=with_text)


def fill_network(tensors: Mapping[str, Tensor], what: str, *, with_text: bool = False) -> nn.Module:
    """Build the towers that a state dict of laion_clap's ``CLAP`` is of, and load it.

    Args:
        tensors: the state dict.
        what: its name, for messages.
        with_text: whether to load the text tower.

    Raises:
        ValueError: it has no HTSAT, or lacks a tensor, or has one of another shape or one that is not known.
    """
    network = build_network(read_options(tensors, what), with_text=with_text)
    load_strictly(network, from_laion(tensors, with_text=with_text), what)
    return network


def mel_of(network: Any) -> MelOptions:
    """Say how sounds are prepared for a network."""
    return replace(MEL, fusion=network.audio_branch.enable_fusion)


def load_tokenizer(weights: Weights) -> Any:
    """Load RoBERTa's tokenizer from its two files.

    Raises:
        ValueError: its vocabulary is not RoBERTa's (transformers gives an empty one instead of raising).
    """
    needs_extra("transformers", "cmcr")
    from transformers import RobertaTokenizer

    if weights.drawn:
        raise ValueError(
            "Expected a weights folder for CLAP's text tower, got 'seeded', which has no tokenizer: write one "
            "with `majorscore weights seeded FOLDER`."
        )
    vocabulary, merges = weights.path("roberta-vocab"), weights.path("roberta-merges")
    return _checked(RobertaTokenizer.from_pretrained(str(vocabulary.parent)), f"{vocabulary} and {merges.name}")


def _checked(tokenizer: Any, what: str) -> Any:
    if len(tokenizer) != VOCABULARY:
        raise ValueError(f"Expected {what} to give {VOCABULARY} tokens, got {len(tokenizer)}.")
    return tokenizer


def load(weights: Weights, pool: Pool) -> CLAP:
    """Build CLAP in its own space, with its own text tower, of any checkpoint of laion_clap with HTSAT."""
    return _load(weights, "any-clap", "clap")


def load_music(weights: Weights, pool: Pool) -> CLAP:
    """Build the CLAP of av-benchmark, ``music_speech_audioset_epoch_15_esc_89.98``: HTSAT-base without fusion."""
    return _load(weights, "clap-music", "clap-music", BASE)


def load_audioset(weights: Weights, pool: Pool) -> CLAP:
    """Build the CLAP of stable-audio-metrics, ``630k-audioset-fusion-best``: HTSAT-tiny with fusion."""
    return _load(weights, "clap-audioset", "clap-audioset")


def load_variant(weights: Weights, pool: Pool, variant: str) -> CLAP:
    """Build CLAP of one of laion_clap's checkpoints by its name: those of music are HTSAT-base, the others tiny."""
    drawn = BASE if variant.startswith("music") else HTSATOptions(fusion="-fusion" in variant)
    return _load(weights, f"clap:{variant}", f"clap:{variant}", drawn)


def _load(weights: Weights, file: str, name: str, seeded: HTSATOptions | None = None) -> CLAP:
    network = load_network(weights, file, with_text=True, seeded=seeded)
    return _named(CLAP(network, tokenizer=load_tokenizer(weights), mel=mel_of(network)), name, weights.seeded)


def from_clap_module(module: Any) -> CLAP:
    """Build CLAP in its own space from a loaded ``laion_clap.CLAP_Module``: its weights, copied, and its tokenizer.

    Raises:
        ValueError: it has another audio network than HTSAT, another text network than RoBERTa, or no tokenizer.
    """
    what = "laion_clap's CLAP_Module"
    network = fill_network(module.model.state_dict(), what, with_text=True)
    return _named(CLAP(network, tokenizer=_checked(module.tokenize, what), mel=mel_of(network)), "clap")


def _named(clap: CLAP, name: str, seeded: bool = False) -> CLAP:
    clap.name = f"{name}{'-seeded' if seeded else ''}@{state_digest(clap)}"
    return clap
