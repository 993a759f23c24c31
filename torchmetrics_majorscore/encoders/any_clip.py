"""Any network of open_clip by name, SigLIP and SigLIP 2 among them: ``clip:NAME`` or ``clip:NAME/PRETRAINED``.

open_clip builds the network and reads its checkpoint; size, mean, deviation, filter and way of resizing are those that
open_clip lists for it, and so is the activation, which the name alone does not tell (QuickGELU).

A folder of weights has ``open_clip_model.safetensors`` or ``open_clip_pytorch_model.bin`` under
``NAME-PRETRAINED`` and, for a network with a tokenizer of Hugging Face, the files of that tokenizer beside it.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders.base import in_micro_batches, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.clip import CLIP, TEXTS_PER_CALL, FrameOptions, remark_cut
from torchmetrics_majorscore.encoders.download import download
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.public import Checkpoint, find_checkpoint
from torchmetrics_majorscore.encoders.resize import Filter, Resizing
from torchmetrics_majorscore.encoders.table import Pool
from torchmetrics_majorscore.extras import needs_extra


class AnyCLIP(CLIP):
    """A network of open_clip in its own space.

    Args:
        network: what ``open_clip.create_model`` gives; with ``encode_image`` and ``encode_text``.
        tokenizer: what ``open_clip.get_tokenizer`` gives.
        frames: size and scaling of its pictures.
        resizing: how pictures are brought to that size.
    """

    def __init__(self, network: nn.Module, tokenizer: Any, frames: FrameOptions, resizing: Resizing) -> None:
        super().__init__(network, None, "after_head", tokenizer, frames)
        self.resizing = resizing

    def encode_text(self, batch: Sequence[str]) -> Tensor:
        """Encode captions as they are, in rows of the network's full length.

        Args:
            batch: captions; longer ones are cut, see :meth:`remark_text`.

        Returns:
            Unit-norm embeddings, float32, (B, D).
        """
        tokens = self.tokenizer(list(batch)).to(next(self.network.parameters()).device)
        return in_micro_batches(self._texts, tokens, TEXTS_PER_CALL)

    def remark_text(self, batch: Sequence[str]) -> dict[int, str]:
        """Say which captions are longer than the text tower reads."""
        if hasattr(self.tokenizer, "encode"):
            return remark_cut(self.tokenizer, batch)
        other: Any = self.tokenizer  # open_clip's way to one of Hugging Face
        longest = other.context_length
        needed = [len(ids) for ids in other.tokenizer([other.clean_fn(text) for text in batch])["input_ids"]]
        return {row: f"has {n} tokens and is cut to {longest}" for row, n in enumerate(needed) if n > longest}

    def _texts(self, tokens: Tensor) -> Tensor:
        with self.running():
            embedded = self.network.encode_text(tokens)
        return self._project(normalize(embedded.float(), dim=-1))


def load(weights: Weights, pool: Pool, variant: str) -> AnyCLIP:
    """Build a network of open_clip and load its checkpoint.

    Args:
        weights: where its checkpoint is.
        pool: without a head, both give the same.
        variant: ``NAME`` or ``NAME/PRETRAINED`` as open_clip lists them; without PRETRAINED, ``openai`` if there is
            that, else the one listed first.

    Raises:
        ValueError: open_clip knows no such network or checkpoint, or the file holds another one's tensors.
        FileNotFoundError: the checkpoint or the tokenizer is not on this machine and cannot be downloaded.
    """
    name, tag, listed = _find(variant)
    path = None if weights.drawn else weights.path(f"clip:{variant}")
    network = _build(name, path, listed)
    tokenizer = _tokenizer(name, path.parent if path and weights.folder else None)
    size = network.visual.image_size
    side = size if isinstance(size, int) else size[0]
    if not isinstance(size, int) and len(set(size)) > 1:
        raise ValueError(f"Expected a network of square pictures, got {name} with {size[0]} x {size[1]}.")
    encoder = AnyCLIP(
        network, tokenizer, FrameOptions(side, tuple(listed["mean"]), tuple(listed["std"])), _resizing(name, listed)
    )
    full = f"{name}/{tag}" if tag else name
    encoder.name = f"clip:{full}{'-seeded' if weights.seeded else ''}@{state_digest(encoder)}"
    return encoder


def public_checkpoints(variant: str) -> list[Checkpoint]:
    """Give the checkpoint that open_clip lists for a network: of a repository that has several, preferred first.

    Raises:
        ValueError: there is no network or no checkpoint of that name.
    """
    name, tag, listed = _find(variant)
    if not tag:
        raise ValueError(f"Expected a network with public weights, or weights=FOLDER, got {name}.")
    known = find_checkpoint(f"clip:{variant}") or Checkpoint((), "", "", "")
    if not listed.get("hf_hub"):
        repo, revision, file = listed["url"].rsplit("/", 2)
        return [replace(known, repo=repo, revision=revision, filename=file)]
    repo, _, file = listed["hf_hub"].rpartition("/")
    return [replace(known, repo=repo, filename=one) for one in ([file] if file else map(_last, known.names))]


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def download_public(variant: str) -> Path:
    """Download the checkpoint of a network: the newest revision, whose digest then stands in the encoder's name.

    Raises:
        ValueError: there is none of that name.
        FileNotFoundError: it is not on this machine and cannot be downloaded.
    """
    *others, last = public_checkpoints(variant)
    for checkpoint in others:
        try:
            return download(checkpoint)
        except FileNotFoundError:  # older repositories have the last one alone
            continue
    return download(last)


def _find(variant: str) -> tuple[str, str, dict[str, Any]]:
    """Give the name, the tag ("" if it has no public weights) and what open_clip lists of it."""
    needs_extra("open_clip", "encoders")
    import open_clip
    from open_clip.pretrained import _pcfg

    name, _, tag = variant.partition("/")
    if name not in open_clip.list_models():
        raise ValueError(f"Expected a name of open_clip.list_models() after 'clip:', got {name!r}.")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag and tag not in tags:
        raise ValueError(f"Expected the weights of {name} to be one of {', '.join(tags) or 'none'}, got {tag!r}.")
    tag = tag or ("openai" if "openai" in tags else next(iter(tags), ""))
    return name, tag, open_clip.get_pretrained_cfg(name, tag) or _pcfg()


def _resizing(name: str, listed: dict[str, Any]) -> Resizing:
    if listed["resize_mode"] == "longest":
        raise ValueError(f"Expected pictures that are cropped or squashed, got {name}, whose pictures are padded.")
    kind: Filter = "bilinear" if listed["interpolation"] == "bilinear" else "bicubic"
    return Resizing(listed["resize_mode"] == "squash", kind, even=True)


def _build(name: str, path: Path | None, listed: dict[str, Any]) -> Any:
    """Build a network and load its checkpoint, or random numbers without one."""
    import open_clip

    how = {"force_quick_gelu": bool(listed.get("quick_gelu")), "load_weights": False, "pretrained_text": False}
    with _quiet():
        try:
            network = open_clip.create_model(name, **how)
        except OSError as error:  # some text towers are built from a configuration on the hub
            reason = str(error).splitlines()[0]
            raise FileNotFoundError(f"{name} needs a configuration that is not on this machine: {reason}") from error
        if path is None:
            with torch.no_grad():
                seed_weights(network)
            return network
        try:
            open_clip.load_checkpoint(network, str(path))
        except (RuntimeError, KeyError, AttributeError) as error:
            line = " ".join(str(error).split())[:200]
            raise ValueError(f"Expected {path} to be a checkpoint of {name}, got other tensors: {line}") from error
    return network


def _tokenizer(name: str, folder: Path | None) -> Any:
    import open_clip

    text = open_clip.get_model_config(name)["text_cfg"]
    try:
        if text.get("hf_tokenizer_name") and folder and (folder / "tokenizer_config.json").is_file():
            how = {"tokenizer_mode": text.get("tokenizer_mode"), **text.get("tokenizer_kwargs", {})}
            tokenizer: Any = open_clip.tokenizer.HFTokenizer(str(folder), text["context_length"], **how)
        else:
            with _quiet():
                tokenizer = open_clip.get_tokenizer(name)
    except OSError as error:
        where = f"tokenizer_config.json and its other files into {folder or 'the folder of the checkpoint'}"
        raise FileNotFoundError(
            f"{name} needs the tokenizer {text['hf_tokenizer_name']}, which is not on this machine and could not be "
            f"downloaded; without a network, put its {where}."
        ) from error
    _check_vocabulary(name, tokenizer, text.get("vocab_size"))
    return tokenizer


def _check_vocabulary(name: str, tokenizer: Any, wanted: int | None) -> None:
    """Raise ValueError for a vocabulary of another size: transformers may give an empty one instead of raising."""
    got = len(tokenizer.tokenizer) if hasattr(tokenizer, "tokenizer") else tokenizer.vocab_size
    if wanted and not 0.9 * wanted <= got <= wanted:  # networks round the number up
        raise ValueError(f"Expected a tokenizer of {wanted} tokens for {name}, got {got}.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep open_clip's words on the root logger to itself, and the root logger as it is."""
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
