"""Frozen backbones of late fusion, each the network of a kept library without its classifier, of one modality.

Source: Fürer, Bernstein, Rossetto, "A Comparison of Late-fusion Training Strategies for Quad-modal Joint Embeddings":
ResNet50, VGGish and BERT small. Its MoViNet is in no kept library; torchvision's S3D takes its place. Inputs are
prepared as the library prepares them for its weights. Embeddings are not normalised, and are no joint space: heads make
one of them.
"""

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.base import in_micro_batches, load_or_seed, load_strictly, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.table import Pool
from torchmetrics_majorscore.encoders.vggish import VGGish, load_without_pca
from torchmetrics_majorscore.extras import needs_extra

ROWS_PER_CALL = 8
BERT: dict[str, Any] = {"num_hidden_layers": 4, "hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 2048}
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARY = 30_522
S3D_FPS, SHORTEST, LONGEST = 15.0, 14, 128
"""Frames per second and frames of a clip in the library's own evaluation; the shortest that the network takes."""


class Backbone(nn.Module):
    """A library's network.

    Args:
        network: without its classifier.
    """

    name: str
    modalities: tuple[str, ...]
    sample_rate = 0
    fps = 1.0

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.eval().requires_grad_(False)


Named = TypeVar("Named", bound=Backbone)


class ResNet50(Backbone):
    """Pictures to 2048 numbers: torchvision's ``resnet50`` with its ``IMAGENET1K_V2`` weights."""

    modalities = ("image",)

    def encode_image(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode pictures (3, H, W), uint8; (B, 2048), float32."""
        from torchvision.models import ResNet50_Weights

        prepare = ResNet50_Weights.IMAGENET1K_V2.transforms()
        prepared = torch.stack([prepare(picture) for picture in batch])
        return in_micro_batches(self.network, prepared, ROWS_PER_CALL)


class S3D(Backbone):
    """Videos to 1024 numbers: torchvision's ``s3d`` with its ``KINETICS400_V1`` weights.

    The network takes 128 frames at a time, as in its evaluation; of longer videos the mean over parts of equal length,
    to a frame.
    """

    modalities = ("video",)
    fps = S3D_FPS

    def encode_video(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode videos (T, 3, H, W), uint8, at ``fps``; (B, 1024), float32.

        Raises:
            ValueError: a video of fewer than 14 frames.
        """
        return torch.stack([self._encode(frames) for frames in batch])

    def _encode(self, frames: Tensor) -> Tensor:
        from torchvision.models.video import S3D_Weights

        if len(frames) < SHORTEST:
            raise ValueError(f"Expected at least {SHORTEST} frames of video for S3D at {self.fps:g} per second, got "
                             f"{len(frames)}.")  # fmt: skip
        prepare = S3D_Weights.KINETICS400_V1.transforms()
        parts = frames.tensor_split(math.ceil(len(frames) / LONGEST))
        return torch.cat([self.network(prepare(part.contiguous())[None]) for part in parts]).mean(dim=0)


class BertSmall(Backbone):
    """Texts to 512 numbers, BERT's pooled output: transformers' ``BertModel`` with the weights L-4 H-512.

    Args:
        network: the model.
        vocabulary: token to its number.
    """

    modalities = ("text",)

    def __init__(self, network: Any, vocabulary: dict[str, int]) -> None:
        from transformers import BertTokenizer

        super().__init__(network)
        self.tokenizer = BertTokenizer(vocab=vocabulary)

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode texts, up to 512 tokens of each, one by one; (B, 512), float32."""
        rows = []
        for text in batch:
            tokens = self.tokenizer([text], truncation=True, max_length=512, return_tensors="pt")
            device = self.network.device
            rows.append(self.network(**{name: part.to(device) for name, part in tokens.items()}).pooler_output)
        return torch.cat(rows)


class VGGishMean(Backbone):
    """Sounds to 128 numbers: the mean of VGGish's vectors over the sound."""

    modalities = ("audio",)
    sample_rate = VGGish.sample_rate

    def encode_audio(self, batch: Sequence[Tensor]) -> Tensor:
        """Encode mono waveforms (S,) at ``sample_rate``; (B, 128), float32.

        Raises:
            ValueError: a sound of less than 0.975 s.
        """
        for waveform in batch:
            if len(waveform) < VGGish.shortest:
                got = f"{len(waveform) / self.sample_rate:.3f} s"
                raise ValueError(f"Expected at least {VGGish.shortest / self.sample_rate:g} s of sound, got {got}.")
        return torch.stack([rows.mean(dim=0) for rows in self.network.encode_audio(batch)["features"]])


def load_resnet50(weights: Weights, pool: Pool) -> ResNet50:
    """Build ResNet50 and load torchvision's file; ValueError if it is another one."""
    needs_extra("torchvision", "backbones")
    from torchvision.models import resnet50

    network: Any = resnet50()
    load_or_seed(network, weights, "resnet50")
    network.fc = nn.Identity()
    return _named(ResNet50(network), weights, "resnet50")


def load_s3d(weights: Weights, pool: Pool) -> S3D:
    """Build S3D and load torchvision's file; ValueError if it is another one."""
    needs_extra("torchvision", "backbones")
    from torchvision.models.video import s3d

    network: Any = s3d()
    load_or_seed(network, weights, "s3d")
    network.classifier = nn.Identity()
    return _named(S3D(network), weights, "s3d")


def load_bert_small(weights: Weights, pool: Pool) -> BertSmall:
    """Build BERT small and load its file and vocabulary; ValueError if they are others."""
    needs_extra("transformers", "cmcr")
    from transformers import BertConfig, BertModel

    network = BertModel(BertConfig(vocab_size=VOCABULARY, **BERT))
    if weights.drawn:
        seed_weights(network)
        # Characters, alone and within a word: enough to tell texts apart.
        letters = [chr(code) for code in range(33, 127)]
        tokens = [*SPECIAL_TOKENS, *letters, *(f"##{letter}" for letter in letters)]
    else:
        load_strictly(network, _from_bert(weights.read("bert-small")), weights.path("bert-small").name)
        tokens = weights.path("bert-vocab").read_text(encoding="utf-8").splitlines()
        if len(tokens) != VOCABULARY:
            raise ValueError(f"Expected {VOCABULARY} tokens in {weights.path('bert-vocab')}, got {len(tokens)}.")
    return _named(BertSmall(network, {token: number for number, token in enumerate(tokens)}), weights, "bert-small")


def _from_bert(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take BERT without the heads of its training; files of older libraries name and count some things otherwise."""
    kept = {name.removeprefix("bert."): part for name, part in tensors.items() if not name.startswith("cls.")}
    kept.pop("embeddings.position_ids", None)
    norms = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    return {reduce(lambda own, norm: own.replace(*norm), norms.items(), name): part for name, part in kept.items()}


def load_vggish(weights: Weights, pool: Pool) -> VGGishMean:
    """Build VGGish and load its file; ValueError if it is another one."""
    network = VGGish()
    load_or_seed(network, weights, "vggish", load_without_pca)
    return _named(VGGishMean(network), weights, "vggish")


def _named(backbone: Named, weights: Weights, name: str) -> Named:
    backbone.name = f"{name}{'-seeded' if weights.seeded else ''}@{state_digest(backbone.network)}"
    return backbone
