"""What a sound is generated for: features of a video and of a caption, either of which may be missing."""

from typing import NamedTuple

from torch import Tensor

from torchmetrics_majorscore.training.generator.sizes import GeneratorSizes


class Prompt(NamedTuple):
    """Features of B samples, time before channels.

    Args:
        clip: of frames, (B, Tc, D).
        sync: synchronisation features, (B, Ts, D).
        text: states of the text tower, (B, Tt, D).
        seen: which samples have a video, bool (B,). Of others, ``clip`` and ``sync`` say how long it would be.
        told: which samples have a caption, bool (B,).
    """

    clip: Tensor
    sync: Tensor
    text: Tensor
    seen: Tensor
    told: Tensor

    def check(self, sizes: GeneratorSizes) -> None:
        """Refuse what a network of these sizes does not take.

        Raises:
            ValueError: features of another width, or lengths that do not fit.
        """
        for name in ("clip", "sync", "text"):
            x, width = getattr(self, name), getattr(sizes, name)
            if x.ndim != 3 or x.shape[-1] != width:
                raise ValueError(f"Expected {name} features (B, T, {width}), got {tuple(x.shape)}.")
            if not x.shape[1] or len(x) != len(self.clip):
                raise ValueError(
                    f"Expected {name} of as many samples as clip, at least one each, got {tuple(x.shape)}."
                )
        if self.sync.shape[1] % sizes.group:
            raise ValueError(
                f"Expected synchronisation features in segments of {sizes.group}, got {self.sync.shape[1]} of them; "
                "were they cut?"
            )
        if self.text.shape[1] != sizes.text_length and not self.told.all():
            raise ValueError(
                f"Expected text of {sizes.text_length} tokens, as the empty string beside it has, got "
                f"{self.text.shape[1]}; were captions cut to the longest of the batch?"
            )

    def drop(self, video: Tensor, text: Tensor) -> "Prompt":
        """Take the video, and the caption, from the samples where these, bool (B,), are True."""
        return self._replace(seen=self.seen & ~video, told=self.told & ~text)
