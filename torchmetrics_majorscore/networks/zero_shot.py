"""A network for free: the audio network of a joint encoder, and which text of a list of labels fits a sound best.

The features are the vectors of CLAP in front of the head into the joint space, the logits scaled cosines between the
sound and each label in the joint space. Where MAJORScore has encoded a batch, nothing but a product with the labels is
added. The classifier is a joint space and not one that was trained on classes: its Fréchet distance, divergence and
inception score have names of their own, and no published value is comparable.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders import Encoder, SharedEncoder, load_encoder
from torchmetrics_majorscore.encoders.base import content_key, exact_float32, in_micro_batches
from torchmetrics_majorscore.encoders.handle import ContentKey, share
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.encoders.shared import Batch
from torchmetrics_majorscore.functional.similarity import find_view
from torchmetrics_majorscore.networks.shared import SharedNetwork

FOLDER = Path(__file__).parent / "labels"
ROWS = 16  # per product, whatever the batch, for the same bits
# Of encoder: its labels, and the scale that its joint space was trained with, 1 / temperature.
DEFAULTS = {"c-mcr-tiny": ("embedded-world", 20.0)}
OTHERS = ("vggsound", 100.0)


class ZeroShot:
    """What hears, see :class:`.FeatureNetwork`.

    Args:
        encoder: with audio and text.
        labels: one text for each class.
        scale: of the cosines.
    """

    def __init__(self, encoder: SharedEncoder, labels: Sequence[str], scale: float) -> None:
        self.name = f"{encoder.name}:audio"
        self.encoder = encoder
        self.labels = list(labels)
        self.scale = scale
        self.sample_rate = encoder.sample_rate
        self._embedded: dict[torch.device, Tensor] = {}

    def encode_audio(self, batch: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Hear a batch, see :class:`.FeatureNetwork`."""
        return self.hear(batch, batch[0].device, None)

    def hear(self, batch: Batch, device: torch.device, key: ContentKey | None) -> Mapping[str, Tensor]:
        """Hear a batch; of what the encoder has just encoded under that key only the cosines are new."""
        if device not in self._embedded:
            texts = self.encoder.split("text", self.encoder.encode("text", self.labels, device))
            self._embedded[device] = texts[find_view(texts, "text", "audio")]
        labels = self._embedded[device]
        features, joint = self.encoder.encode_both("audio", batch, device, id(self), key)
        logits = in_micro_batches(lambda rows: self.scale * rows @ labels.T, joint, ROWS)
        return {"features": features, "logits": logits}


class ZeroShotNetwork(SharedNetwork):
    """The handle on a :class:`ZeroShot`; a pickle holds the encoder's recipe, and labels that are no default."""

    def encode(
        self, batch: Sequence[Tensor], sample_rate: int, device: torch.device, asker: int | None = None
    ) -> Mapping[str, Tensor]:
        """Hear a batch, see :meth:`.SharedNetwork.encode`; it is resampled only if the encoder has not heard it."""
        moved = [waveform.detach().to(device) for waveform in batch]
        key = content_key(moved)

        def prepared() -> list[Tensor]:
            return [resample(waveform, sample_rate, self.sample_rate) for waveform in moved]

        def run() -> Mapping[str, Tensor]:
            with exact_float32(device):
                return network.hear(prepared, device, (sample_rate, *key))

        network = cast("ZeroShot", self.on(device))
        return self._once(str(sample_rate), (), asker, run, key)

    def __reduce__(self) -> tuple[Any, ...]:
        return zero_shot_network, self._recipe


def zero_shot_network(
    encoder: Encoder = "c-mcr", labels: str | Path | Sequence[str] | None = None, scale: float | None = None
) -> ZeroShotNetwork:
    """Make a network of features and class logits out of a joint encoder.

    Args:
        encoder: with audio and text, see :func:`.load_encoder`.
        labels: a text for each class: a list, a file with one in a line (``#`` begins a remark), or ``"vggsound"``,
            the 309 classes of VGGSound. None for these, and for ``c-mcr-tiny`` the 16 kinds of its world.
        scale: of the cosines, before softmax; None for 1 / temperature of the training, 100 for C-MCR and 20 for
            ``c-mcr-tiny``.

    Returns:
        What a metric takes as ``network``; equal arguments give the same object.

    Raises:
        ValueError: an encoder without audio or text, fewer than two labels or the same one twice, or a scale that is
            not positive.
        FileNotFoundError: there is no such file.

    Example:
        >>> from torchmetrics_majorscore.networks import zero_shot_network
        >>> zero_shot_network("c-mcr-tiny").logit_choices
        ('labels:16@0e4555e5', 'scale:20')
    """
    shared = load_encoder(encoder)
    if not {"text", "audio"} <= set(shared.modalities):
        raise ValueError(f"Expected an encoder with text and audio, got one with {', '.join(shared.modalities)}.")
    own_labels, own_scale = DEFAULTS.get(shared.portable_key.split("|")[0], OTHERS)
    texts = tuple(_read(own_labels if labels is None else labels))
    factor = own_scale if scale is None else float(scale)
    if not 0 < factor < math.inf:
        raise ValueError(f"Expected scale > 0, got {scale!r}.")
    digest = hashlib.blake2b("\n".join(texts).encode(), digest_size=4).hexdigest()
    choices = (f"labels:{len(texts)}@{digest}", f"scale:{factor:g}")
    what = "|".join(["zero-shot", *choices, ""])
    network = ZeroShotNetwork(
        what + shared.key,
        what + shared.portable_key,
        shared.sample_rate,
        lambda: ZeroShot(shared, texts, factor),
        (shared, labels if labels in (None, "vggsound") else texts, scale),
    )
    network.logit_choices = choices
    return share(network)


def _read(labels: str | Path | Sequence[str]) -> Sequence[str]:
    if isinstance(labels, (str, Path)):
        path = FOLDER / f"{labels}.txt"
        lines = (path if path.is_file() else Path(labels)).read_text(encoding="utf-8").splitlines()
        labels = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if len(labels) < 2 or len(set(labels)) < len(labels) or not all(isinstance(one, str) and one for one in labels):
        raise ValueError(f"Expected at least two labels, each another text, got {len(labels)}: {list(labels)[:3]}...")
    return labels
