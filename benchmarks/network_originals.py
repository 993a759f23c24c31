"""The originals: PANNs and VGGish from public files, PaSST and Synchformer of any size with the weights of ours.

PaSST is that of ``hear21passt``, the others those of a checkout of https://github.com/hkchengrex/av-benchmark, where
all are used for FD, KL, IS and DeSync; the checkout is on ``sys.path``. They need ``timm``, ``torchaudio``, ``einops``
and ``omegaconf``. What of av-benchmark transformers 5 has removed is put back, as it was where nothing is masked.
"""

import contextlib
import importlib
import io
import sys
import warnings
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from torchmetrics_majorscore.encoders.base import seed_weights
from torchmetrics_majorscore.networks.passt import PaSST
from torchmetrics_majorscore.networks.synchformer import SEGMENTS, Synchformer

RATE = 16_000
FILES = {"panns": "Cnn14_16k_mAP=0.438.pth", "vggish": "vggish-10086976.pth"}
CPU = torch.device("cpu")


def original_panns(state: dict[str, Tensor] | None = None) -> nn.Module:
    """Build av-benchmark's Cnn14, which its constructor would download weights for."""
    module: Any = importlib.import_module("av_bench.panns.models")
    module.os = SimpleNamespace(path=SimpleNamespace(expanduser=str, exists=lambda path: True))
    with (
        patch.object(module.torch, "load", lambda *args, **options: {"model": {}}),
        patch.object(module.Cnn14, "load_state_dict", lambda *args: None),
    ):
        network: nn.Module = module.Cnn14(["2048", "logits"], RATE, 512, 160, 64, 50, 8000, 527)
    if state is not None:
        network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def original_vggish(state: dict[str, Tensor] | None = None) -> nn.Module:
    """Build av-benchmark's VGGish, without its download by torch.hub."""
    sys.modules.setdefault("resampy", ModuleType("resampy"))  # which it imports for rates other than 16 kHz
    module: Any = importlib.import_module("av_bench.vggish.vggish")
    network: nn.Module = module.VGGish(device=CPU, pretrained=False, postprocess=False)
    if state is not None:
        network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def write_weights(folder: Path) -> None:
    """Write seeded weights, as the public files are laid out."""
    panns, vggish = original_panns(), original_vggish()
    seed_weights(panns)
    seed_weights(vggish)
    torch.save({"iteration": 1, "model": panns.state_dict()}, folder / FILES["panns"])
    torch.save(vggish.state_dict(), folder / FILES["vggish"])


class OriginalConvolutions:
    """PANNs and VGGish, as functions of waveforms of one length (B, S)."""

    def __init__(self, weights: Path) -> None:
        self.panns = original_panns(torch.load(weights / FILES["panns"], weights_only=False)["model"])
        self.vggish = original_vggish(torch.load(weights / FILES["vggish"], weights_only=True))

    def run(self, name: str, batch: Tensor) -> dict[str, Tensor]:
        if name == "vggish":
            return {"features": self.vggish(batch)}
        made = self.panns(batch)
        return {"features": made["2048"], "logits": made["logits"]}


class OriginalPaSST:
    """hear21passt's network behind its own spectrogram, with the weights of ours, as av-benchmark calls it."""

    def __init__(self, ours: PaSST) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints some twenty lines
            from hear21passt.models import passt
            from hear21passt.models.preprocess import AugmentMelSTFT

            size = ours.options
            passt.first_RUN = False
            frames = (size.samples - 1) // 320 - 1  # for 10 s the original is made for 998 of the 1000
            self.network = passt.PaSST(
                stride=(10, 10), img_size=(size.bands, frames), num_classes=size.classes, embed_dim=size.width,
                depth=size.depth, num_heads=size.heads, distilled=True,
            ).eval()  # fmt: skip
            self.mel = AugmentMelSTFT(n_mels=size.bands, fmin=0.0, fmin_aug_range=10, fmax_aug_range=2000).eval()
        self.network.load_state_dict(ours.state_dict())
        self.samples = size.samples

    @torch.no_grad()
    def __call__(self, waveform: Tensor) -> dict[str, Tensor]:
        fitted = nn.functional.pad(waveform[: self.samples], (0, max(self.samples - len(waveform), 0)))
        with warnings.catch_warnings(action="ignore"), torch.random.fork_rng():
            logits, features = self.network(self.mel(fitted[None])[:, None])
        return {"features": features, "logits": logits}


class OriginalSynchformer:
    """av-benchmark's network, with the weights of ours, behind what its two scripts of extraction do."""

    def __init__(self, ours: Synchformer) -> None:
        _restore_transformers()
        video, audio = ours.options.video, ours.options.audio
        ast = importlib.import_module("av_bench.synchformer.ast")
        motionformer = importlib.import_module("av_bench.synchformer.motionformer")
        module = importlib.import_module("av_bench.synchformer.synchformer")
        size = {"hidden_size": audio.width, "intermediate_size": 4 * audio.width, "num_mel_bins": audio.bands}
        size |= {"num_hidden_layers": audio.depth, "num_attention_heads": audio.heads}
        ast.ASTConfig = partial(importlib.import_module("transformers").ASTConfig, **size)
        load = motionformer.OmegaConf.load

        def resized(path: Any) -> Any:
            config = load(path)
            config.VIT.update(EMBED_DIM=video.width, DEPTH=video.depth, NUM_HEADS=video.heads, PATCH_SIZE=video.patch)
            return config

        motionformer.OmegaConf.load = resized
        self.network = module.Synchformer()
        motionformer.OmegaConf.load = load
        self.network.vproj, self.network.aproj = (
            nn.Linear(video.width, video.width),
            nn.Linear(audio.width, video.width),
        )
        transformer = importlib.import_module("av_bench.synchformer.transformer")
        options = ours.options
        compared = transformer.GlobalTransformer(0.0, 0.1, 0.1, 0.1, options.depth, options.heads, video.width)
        compared.pos_emb_cfg = transformer.RandInitPositionalEncoding([198], video.width)
        compared.off_head = nn.Linear(video.width, 21)
        self.network.transformer = compared
        self.network.load_state_dict(ours.state_dict())
        self.network.eval()
        self.mel = importlib.import_module("torchaudio").transforms.MelSpectrogram(
            16_000, n_fft=1024, win_length=400, hop_length=160, n_mels=audio.bands
        )

    @torch.no_grad()
    def audio(self, waveform: Tensor) -> Tensor:
        """Hear a waveform (S,) at 16 kHz: (segments, 6, D)."""
        starts = range(0, len(waveform) - 10_240 + 1, 5_120)
        mels = torch.log(self.mel(torch.stack([waveform[start : start + 10_240] for start in starts])[None]) + 1e-6)
        mels = (nn.functional.pad(mels, (0, 66 - mels.shape[-1])) + 4.2677393) / (2 * 4.5689974)
        heard: Tensor = self.network.extract_afeats(mels[:, :, None])[0]
        return heard

    @torch.no_grad()
    def video(self, frames: Tensor) -> Tensor:
        """See frames (T, 3, 224, 224), uint8: (segments, 8, D)."""
        pixels = (frames.float() / 255 - 0.5) / 0.5
        starts = range(0, len(pixels) - 16 + 1, 8)
        seen: Tensor = self.network.extract_vfeats(
            torch.stack([pixels[start : start + 16] for start in starts])[:, None]
        )
        return seen[:, 0]

    @torch.no_grad()
    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Compare the first and the last 14 segments: (2, 21)."""
        windows = [slice(0, SEGMENTS), slice(-SEGMENTS, None)]
        return torch.cat([self.network.compare_v_a(video[None, window], audio[None, window]) for window in windows])


def _restore_transformers() -> None:
    """Give transformers 5 the two names that av-benchmark's copy of AST asks for."""
    import transformers
    from transformers import pytorch_utils

    if not hasattr(pytorch_utils, "find_pruneable_heads_and_indices"):
        pytorch_utils.find_pruneable_heads_and_indices = None
    if not hasattr(transformers.PreTrainedModel, "get_head_mask"):
        transformers.PreTrainedModel.get_head_mask = lambda self, mask, count, *_: [None] * count
