"""The original implementations that our encoders are compared with, built from the same checkpoint files.

Hugging Face's CLIP with its PIL processor and its tokenizer, laion_clap's own class, and the heads of C-MCR, called as
the original C-MCR calls them. Importing laion_clap takes some 20 s without a network.
"""

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, patch

os.environ["HF_HUB_OFFLINE"] = "1"  # importing laion_clap asks the hub for three tokenizers

import numpy as np
import torch
import torchaudio
import torchvision
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import batch_norm, linear, normalize
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, RobertaConfig, RobertaModel, RobertaTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

OUTER = {
    "logit_scale": "logit_scale",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "text_projection": "text_projection.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.proj": "visual_projection.weight",
    **{f"ln_final.{kind}": f"text_model.final_layer_norm.{kind}" for kind in ("weight", "bias")},
    **{f"visual.ln_pre.{kind}": f"vision_model.pre_layrnorm.{kind}" for kind in ("weight", "bias")},
    **{f"visual.ln_post.{kind}": f"vision_model.post_layernorm.{kind}" for kind in ("weight", "bias")},
}
INNER = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}  # fmt: skip


def to_hugging_face(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of an open_clip file the names and the layout of a Hugging Face ``CLIPModel``."""
    renamed = {}
    for name, tensor in tensors.items():
        block = re.fullmatch(r"(visual\.)?transformer\.resblocks\.(\d+)\.(\w+(?:\.\w+)?)[._](weight|bias)", name)
        if block is None:
            renamed[OUTER[name]] = tensor.T if name in ("text_projection", "visual.proj") else tensor
            continue
        tower, layer, part, kind = block.groups()
        stem = f"{'vision' if tower else 'text'}_model.encoder.layers.{layer}"
        if part == "attn.in_proj":
            for letter, piece in zip("qkv", tensor.chunk(3), strict=True):
                renamed[f"{stem}.self_attn.{letter}_proj.{kind}"] = piece
        else:
            renamed[f"{stem}.{INNER[part]}.{kind}"] = tensor
    return {name: tensor.contiguous() for name, tensor in renamed.items()}


class Originals:
    """The original implementations, called the way the original C-MCR calls them."""

    def __init__(self, weights: Path, c_mcr: Path | None) -> None:
        self.clip_tensors = to_hugging_face(load_file(weights / "open_clip_model.safetensors"))
        self.clip = CLIPModel(CLIPConfig()).eval()
        self.clip.load_state_dict(self.clip_tensors)
        self.processor = CLIPImageProcessorPil()
        ours = SimpleTokenizer()
        merges = sorted(ours.bpe_ranks, key=ours.bpe_ranks.__getitem__)
        self.tokenizer = CLIPTokenizer(vocab=clip_vocabulary(ours), merges=merges)
        self.clap = original_clap(weights)
        self.heads = original_heads(weights / "clap_clip.pt", c_mcr)

    def image(self, images: Sequence[Image.Image]) -> Tensor:
        """CLIP's embeddings of pictures."""
        pixels = torch.cat([self.processor(images=image, return_tensors="pt")["pixel_values"] for image in images])
        return normalize(self.clip.get_image_features(pixel_values=pixels).pooler_output, dim=-1)

    def text(self, texts: Sequence[str]) -> Tensor:
        """CLIP's embeddings of captions; the cut at 77 is ours, the original C-MCR fails beyond."""
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=77, return_tensors="pt")
        return normalize(self.clip.get_text_features(**tokens).pooler_output, dim=-1)

    def audio(self, waveforms: Sequence[Tensor]) -> Tensor:
        """CLAP's embeddings of 48 kHz waveforms."""
        return torch.from_numpy(self.clap.get_audio_embedding_from_data([w.numpy() for w in waveforms]))

    def files(self, paths: Sequence[Path]) -> Tensor:
        """CLAP's embeddings of files, through librosa."""
        return normalize(self.clap.get_audio_embedding_from_filelist([str(p) for p in paths], use_tensor=True), dim=-1)


def clip_vocabulary(tokenizer: SimpleTokenizer) -> dict[str, int]:
    """CLIP's vocabulary under the names that Hugging Face gives its two special tokens."""
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    return {names.get(token, token): number for token, number in tokenizer.encoder.items()}


def original_clap(weights: Path) -> Any:
    """Build laion_clap's own class and load its checkpoint, with what it draws and resizes by chance made definite."""
    model = clap_module(weights, enable_fusion=True)
    model.load_ckpt(str(weights / "630k-fusion-best.pt"), verbose=False)
    torchvision.transforms.Resize = partial(torchvision.transforms.Resize, antialias=False)
    np.random.choice = lambda starts: starts[len(starts) // 2]
    np.random.randint = lambda low, high: (low + high - 1) // 2
    return model


def clap_module(weights: Path, **options: Any) -> Any:
    """Build a ``CLAP_Module`` with random weights; RoBERTa from its configuration, for it is overwritten."""
    import laion_clap
    from laion_clap import hook

    config = RobertaConfig(vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)
    tokenizer = RobertaTokenizer.from_pretrained(str(weights / "roberta-base"))
    hook.create_model.__globals__["CLAP"].__init__.__globals__["RobertaModel"] = SimpleNamespace(
        from_pretrained=lambda name: RobertaModel(config)
    )
    hook.RobertaTokenizer = SimpleNamespace(from_pretrained=lambda name: tokenizer)
    return laion_clap.CLAP_Module(device="cpu", **options).eval()


def original_heads(path: Path, c_mcr: Path | None) -> dict[str, Callable[[Tensor], Tensor]]:
    """Load C-MCR's class of the heads from a checkout, or write its formula down in float64."""
    tensors = torch.load(path, weights_only=True)
    if c_mcr is not None:
        module = load_file_as_module("cmcr_projector", c_mcr / "cmcr/cmcr_projector.py")
        heads = module.CLAPCLIP_Head()
        heads.load_state_dict(tensors)
        heads.eval()
        return {"Head_A": lambda x: normalize(heads.Head_A(x)), "Head_B": lambda x: normalize(heads.Head_B(x))}

    def formula(x: Tensor, name: str) -> Tensor:
        t = {key: value.double() for key, value in tensors.items()}
        for net in (f"{name}.net1", f"{name}.net2"):
            x = linear(x.double(), t[f"{net}.0.weight"], t[f"{net}.0.bias"])
            x = batch_norm(x, *(t[f"{net}.1.{key}"] for key in ("running_mean", "running_var", "weight", "bias")))
            x = x.relu() if net.endswith("1") else x
        return normalize(x, dim=-1)

    return {name: partial(formula, name=name) for name in ("Head_A", "Head_B")}


def languagebind_steps(checkout: Path, pytorchvideo: Path) -> dict[str, Callable[[Tensor], Tensor]]:
    """Give LanguageBind's preparation of a sound (1, S), a picture and a video (C, T, H, W), out of its own files.

    Their package does not import with transformers 5 (``_expand_mask`` is gone), so each file is read alone, and what
    it imports for reading media is a stand-in. What it draws by chance is the first choice, and no flip; antialiasing
    is off, as torchvision had it for tensors at training.
    """
    scale = load_file_as_module("functional", pytorchvideo / "pytorchvideo/transforms/functional.py").short_side_scale
    stand_ins = ("cv2", "decord", "pytorchvideo", "pytorchvideo.data", "pytorchvideo.data.encoded_video")
    for name in (*stand_ins, "pytorchvideo.transforms"):
        sys.modules[name] = MagicMock()
    sys.modules["pytorchvideo.transforms"].ShortSideScale = lambda size: lambda x: scale(x, size)
    torchaudio.set_audio_backend = lambda name: None
    torchvision.transforms.Resize = partial(torchvision.transforms.Resize, antialias=False)
    parts = {
        kind: load_file_as_module(f"processing_{kind}", checkout / f"languagebind/{kind}/processing_{kind}.py")
        for kind in ("audio", "image", "video")
    }
    sizes = {"audio_sample_rate": 16_000, "num_mel_bins": 112, "target_length": 1036}
    sizes |= {"audio_mean": -4.2677393, "audio_std": 4.5689974, "video_decode_backend": "opencv"}
    config = SimpleNamespace(vision_config=SimpleNamespace(**sizes))
    hear = parts["audio"].get_audio_transform(config)
    see = parts["video"].get_video_transform(config)
    see.transforms[-1].p = 0.0

    def heard(wave: Tensor) -> Tensor:
        with patch("numpy.random.choice", lambda places: places[0]):
            return hear((wave.clone(), 16_000))

    return {"audio": heard, "image": parts["image"].get_image_transform(config), "video": see}


def load_file_as_module(name: str, path: Path) -> Any:
    """Import a file by itself, without the package around it."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sound(seconds: float, rate: int = 48_000, seed: int = 0) -> Tensor:
    """Make a gliding tone with noise, and silence between; the same as in tests/signals.py."""
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    noise = 0.1 * torch.randn(len(t), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    tone = 0.4 * torch.sin(2 * torch.pi * (300 + 100 * seed) * t * (1 + 0.05 * t))
    return ((tone + noise) * (torch.sin(2 * t + seed) > -0.6)).float()


def picture(height: int, width: int) -> Image.Image:
    """Make a picture of seeded blotches with fine noise; the same as in tests/signals.py."""
    generator = torch.Generator().manual_seed(height)
    blotches = torch.randint(30, 226, (1, 3, height // 32 + 1, width // 32 + 1), generator=generator)
    coarse = blotches.repeat_interleave(32, 2).repeat_interleave(32, 3)[..., :height, :width]
    noisy = coarse + torch.randint(-30, 31, coarse.shape, generator=generator)
    return Image.fromarray(noisy[0].permute(1, 2, 0).to(torch.uint8).numpy())
