"""PE-AV through transformers' own classes: video, text and sound in one space, where a text has two embeddings.

A text is compared with a video by one embedding and with a sound by another, so the similarities of a sample are no
Gram matrix of three vectors. transformers' helpers for single modalities fail or lead elsewhere (5.24), so the parts of
the network are called here, as its ``forward`` calls them.

One sample runs at a time: no padding, no mask. Source: Vyas et al., "Pushing the Frontier of Audiovisual Perception
with Large-Scale Multimodal Correspondence Learning", 2025.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import seed_weights
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.precision import Tower
from torchmetrics_majorscore.encoders.public import PE_AV_FILES
from torchmetrics_majorscore.encoders.resize import Resizing, prepare_frames
from torchmetrics_majorscore.encoders.table import PE_AV_FPS, Pool
from torchmetrics_majorscore.extras import needs_extras

RATE = 48_000
HOP = 1_920
FRAMES = 16  # that the checkpoints of that name see
LONGEST_TEXT = 512
MIDDLE = 127.5  # of 8-bit values, which become -1 to 1
SQUASHED = Resizing(squash=True, filter="bilinear")


class PEAV(Tower):
    """A joint encoder of video, text and audio.

    Args:
        network: transformers' ``PeAudioVideoModel``.
        tokenizer: that of its texts.
        name: name with the digest of the weights.
        size: height and width of a frame.
        frames: how many frames are seen, evenly from the first to the last; None for all.
    """

    modalities = ("video", "text", "audio")
    per_pair = {"text": ("video", "audio")}  # noqa: RUF012, as the protocol has it
    sample_rate = RATE
    fps = PE_AV_FPS
    streams = True

    def __init__(self, network: nn.Module, tokenizer: Any, name: str, size: int, frames: int | None) -> None:
        super().__init__()
        self.network: Any = network
        self.tokenizer, self.name, self.size, self.frames = tokenizer, name, size, frames
        self.eval().requires_grad_(False)

    def encode_video(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode videos.

        Args:
            batch: frames (T, 3, H, W), uint8 RGB, T >= 1, at ``fps``; or pieces of one, read once.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        part = self.network.video_model
        return torch.cat([self._run(part.video_encoder, part.video_head, self.pixels(video)[None]) for video in batch])

    def encode_audio(self, batch: Sequence[Tensor | Iterable[Tensor]]) -> Tensor:
        """Encode waveforms of any length, each whole.

        Args:
            batch: mono waveforms (S,), float32, at 48 kHz, S >= 1; or pieces of one, read once.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        part = self.network.audio_model
        whole = (wave if isinstance(wave, Tensor) else torch.cat(list(wave)) for wave in batch)
        return torch.cat([self._run(part.audio_encoder, part.audio_head, fill(wave)[None, None]) for wave in whole])

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions, as they are.

        Args:
            batch: captions; over 512 tokens they are cut, see :meth:`remark_text`.

        Returns:
            Unit-norm embeddings for videos and for sounds side by side, float32, (B, 2 D).
        """
        return torch.cat([self._text(text) for text in batch])

    def remark_text(self, batch: Sequence[str]) -> dict[int, str]:
        """Say which captions are longer than the text tower reads."""
        needed = [len(ids) for ids in self.tokenizer(list(batch))["input_ids"]]
        return {row: f"has {n} tokens and is cut to {LONGEST_TEXT}" for row, n in enumerate(needed) if n > LONGEST_TEXT}

    def pixels(self, video: Tensor | Iterable[Tensor]) -> Tensor:
        """Prepare the frames that are seen of a video: (T, 3, size, size), -1 to 1."""
        if isinstance(video, Tensor):
            seen = prepare_frames(video[self._places(len(video))], self.size, SQUASHED)
        else:
            small = torch.cat([prepare_frames(piece, self.size, SQUASHED) for piece in video])
            seen = small[self._places(len(small))]
        return seen.float() / MIDDLE - 1.0

    def _places(self, count: int) -> list[int]:
        if self.frames is None:
            return list(range(count))
        return [int(number * (count - 1) / (self.frames - 1)) for number in range(self.frames)]

    def _text(self, text: str) -> Tensor:
        tokens = self.tokenizer([text], truncation=True, max_length=LONGEST_TEXT, return_tensors="pt")
        tokens = tokens.to(next(self.network.parameters()).device)
        with self.running():
            out = self.network.text_model(**tokens, output_hidden_states=True)
            first = out.hidden_states[-1][:, 0]
            heads = self.network.video_model.text_video_head, self.network.audio_model.text_audio_head
            embedded = [head(first) for head in heads]
        return torch.cat([normalize(one.float(), dim=-1) for one in embedded], dim=-1)

    def _run(self, tower: Any, head: Any, prepared: Tensor) -> Tensor:
        with self.running():
            embedded = head(tower(prepared).pooler_output)
        return normalize(embedded.float(), dim=-1)


def fill(waveform: Tensor) -> Tensor:
    """Fill a waveform (S,) to a multiple of 1920 samples by reflection at its end, again and again if it is short."""
    length = -(-len(waveform) // HOP) * HOP
    period = max(2 * (len(waveform) - 1), 1)
    places = torch.arange(length, device=waveform.device) % period
    return waveform[torch.minimum(places, period - places).clamp(max=len(waveform) - 1)]


def load(weights: Weights, pool: Pool, variant: str) -> PEAV:
    """Build PE-AV of a folder in Hugging Face's layout.

    Args:
        weights: where it is.
        pool: changes nothing: the network sees frames together.
        variant: its name, such as ``pe-av-small-16-frame``.

    Raises:
        ModuleNotFoundError: transformers, or timm, is missing, or has no PE-AV yet.
        ValueError: weights are missing in it or unknown, or ``weights="seeded"``, of which there is no tokenizer.
        FileNotFoundError: it is not on this machine and cannot be downloaded.
    """
    model = _model_class()
    if weights.drawn:
        raise ValueError(f"Expected a weights folder for {variant}, got 'seeded', which has no configuration of it.")
    paths = [weights.path(f"{variant}/{file}") for file in PE_AV_FILES]
    folder = paths[0].parent
    from transformers import AutoTokenizer

    with _quiet():
        network, found = model.from_pretrained(
            str(folder), local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if named := sorted(map(str, found[what])):
            state = what.removesuffix("_keys")
            raise ValueError(f"Expected {folder} to hold {variant}, got {len(named)} {state} tensors: {named[0]}, ...")
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    size = _frame_size(network)
    encoder = PEAV(network, tokenizer, variant, size, FRAMES if variant.endswith("-16-frame") else None)
    encoder.name = f"{variant}{'-seeded' if weights.seeded else ''}@{state_digest(network)}"
    return encoder


def write_seeded(folder: Path, config: Any, tokenizer: Any) -> None:
    """Write random weights in the layout of the hub. Their scores mean nothing.

    Args:
        folder: such as ``FOLDER/pe-av-small``; made if it does not exist.
        config: transformers' ``PeAudioVideoConfig``, of any size.
        tokenizer: of its text network.
    """
    with _quiet(), torch.no_grad():
        network = _model_class()(config)
        seed_weights(network)
        network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder.parent / "SEEDED").touch()


def _model_class() -> Any:
    needs_extras({"transformers": "cmcr", "timm": "encoders"})
    import transformers

    if not hasattr(transformers, "PeAudioVideoModel"):
        raise ModuleNotFoundError(f"Expected a transformers with PE-AV, got {transformers.__version__}: update it.")
    return transformers.PeAudioVideoModel


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing bars, reports and a note on its own docstrings; what is missing is an error."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    loudness, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(loudness)
        if bars:
            logging.enable_progress_bar()


def _frame_size(network: Any) -> int:
    """Read the height and width of a frame off the network of pictures."""
    side: int = network.video_model.video_encoder.embedder.vision_model.timm_model.patch_embed.img_size[0]
    return side
