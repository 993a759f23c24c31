"""laion_clap's checkpoints of CLAP: what network they hold, and their names of tensors turned into ours."""

import re
from collections import Counter
from collections.abc import Mapping

from torch import Tensor

from torchmetrics_majorscore.encoders.htsat import HTSATOptions

AUDIO = "audio_branch."
_RENAMED = (
    (f"{AUDIO}bn0.", f"{AUDIO}batch_norm."),
    (".attn.", ".attention."),
    (".mlp.fc1.", ".intermediate.dense."),
    (".mlp.fc2.", ".output.dense."),
    (".norm1.", ".layernorm_before."),
    (".norm2.", ".layernorm_after."),
)
# What no embedding passes through: the mel matrices, which laion_clap learns nothing in; what follows from the size of
# the network; the class scores of HTSAT; the layers and scales of CLAP's losses.
_LEFT_OUT = re.compile(
    r"audio_branch\.(spectrogram_extractor|logmel_extractor|tscam_conv|head)\."
    r"|audio_branch\..*\.(attn_mask|relative_position_index)$"
    r"|text_branch\.embeddings\.position_ids$"
    r"|(audio|text)_transform\.|logit_scale_[at]$"
)
_BIAS = re.compile(r"audio_branch\.layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_bias_table")


def from_laion(tensors: Mapping[str, Tensor], *, with_text: bool) -> dict[str, Tensor]:
    """Rename the tensors of laion_clap's ``CLAP`` to ours, without those that no embedding passes through.

    Args:
        tensors: its state dict.
        with_text: whether to keep the text tower.

    Returns:
        Every other tensor, known or not; nothing is lost in silence.
    """
    dropped = () if with_text else ("text_branch.", "text_projection.")
    kept = {name: tensor for name, tensor in tensors.items() if not _LEFT_OUT.match(name)}
    return {_rename(name, _RENAMED): tensor for name, tensor in kept.items() if not name.startswith(dropped)}


def to_laion(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give our tensors laion_clap's names."""
    back = tuple((ours, theirs) for theirs, ours in _RENAMED)
    return {_rename(name, back): tensor for name, tensor in tensors.items()}


def _rename(name: str, renamed: tuple[tuple[str, str], ...]) -> str:
    if name.startswith(AUDIO):  # RoBERTa's names are the same in both, and some are like ours of HTSAT
        for old, new in renamed:
            name = name.replace(old, new)
    return name


def read_options(tensors: Mapping[str, Tensor], what: str) -> HTSATOptions:
    """Read off a checkpoint what HTSAT it holds: "tiny", "base" or "large", with fusion or without.

    Args:
        tensors: state dict of laion_clap's ``CLAP``.
        what: the checkpoint's name, for the message.

    Raises:
        ValueError: it holds none.
    """
    heads = {tuple(map(int, found.groups())): len(tensors[name].T) for name in tensors if (found := _BIAS.match(name))}
    patches = tensors.get(f"{AUDIO}patch_embed.proj.weight")
    if patches is None or not heads:
        raise ValueError(f"Expected {what} to be a checkpoint of laion_clap with HTSAT, got none of HTSAT's tensors.")
    depths = Counter(stage for stage, _ in heads)
    stages = sorted(depths)
    fusion = any(name.startswith(f"{AUDIO}patch_embed.fusion_model.") for name in tensors)
    return HTSATOptions(
        len(patches), tuple(depths[stage] for stage in stages), tuple(heads[stage, 0] for stage in stages), fusion
    )
