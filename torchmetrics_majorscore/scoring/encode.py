"""Read clips to embeddings: one pass of each encoder over a batch, and a reason for every clip that it refuses."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders.base import content_key, exact_float32
from torchmetrics_majorscore.encoders.shared import Encoder, SharedEncoder, load_encoder
from torchmetrics_majorscore.encoders.signature import signature
from torchmetrics_majorscore.modalities import find_modality
from torchmetrics_majorscore.networks import SharedNetwork
from torchmetrics_majorscore.networks.synchrony import SharedSync
from torchmetrics_majorscore.scoring.batches import Placed, try_each
from torchmetrics_majorscore.scoring.hear import ClipListener
from torchmetrics_majorscore.scoring.pieces import LARGEST, Pieces
from torchmetrics_majorscore.scoring.read import ReadClip

if TYPE_CHECKING:
    from torchmetrics_majorscore.scoring.frames import ClipFrames
    from torchmetrics_majorscore.scoring.watch import ClipWatcher

BASELINE = (("clip_", ("video", "text")), ("clap_", ("text", "audio")))


@dataclass(frozen=True)
class EncodeOptions:
    """How clips are encoded.

    Args:
        encoder: the joint encoder, see :func:`.load_encoder`.
        baseline: whether CLIP and CLAP, each in its own space, encode too.
        clap: name of the encoder in CLAP's place; None for the joint encoder's own.
        batch_size: clips per encoder call.
        workers: decoding threads.
        device: where the encoder runs; None for a GPU if there is one.
        networks: that hear the sounds too: their names in a table to their handles.
        sync: compares sound and picture; None without.
        frames: how many of a second are encoded for ``avhscore``, ``javisscore`` and ``synchrony``; None without these.
        seen: SQLite file that keeps what it sees in pictures, by their content.
        sounds_only: whether the networks alone are wanted, of the sounds alone.
    """

    encoder: Encoder = "c-mcr"
    baseline: bool = False
    clap: str | None = None
    batch_size: int = 8
    workers: int = 2
    device: str | None = None
    networks: Mapping[str, SharedNetwork] = field(default_factory=dict)
    sync: SharedSync | None = None
    frames: float | None = None
    seen: Path | None = None
    sounds_only: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 1:
            raise ValueError(f"Expected batch_size and workers >= 1, got {self.batch_size} and {self.workers}.")


@dataclass
class Encoded:
    """A batch of clips in the spaces of the encoders.

    Args:
        ids: of the clips, (B,).
        vectors: name as in ``update(embeddings=...)`` to float32 (B, D) on the CPU, NaN where a clip has no value.
        errors: id to the reasons why a clip, or a part of it, has no value.
        remarks: id to what is noteworthy of what has one.
    """

    ids: list[str]
    vectors: dict[str, Tensor] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)


class ClipEncoder:
    """The encoders of a joint space and, with a baseline, of CLIP's and CLAP's own."""

    def __init__(self, options: EncodeOptions) -> None:
        self.options = options
        self.joint = load_encoder(options.encoder)
        self.baseline = self.joint.baseline(options.clap) if options.baseline else []
        self.device = _device(options.device)
        self.listener = ClipListener(options.networks, self.device)
        self.watcher: ClipWatcher | None = None
        if options.sync is not None:
            from torchmetrics_majorscore.scoring import watch  # brings torchmetrics

            self.watcher = watch.ClipWatcher(options.sync, options.seen, self.device)
        self.framer: ClipFrames | None = None
        if options.frames is not None:
            from torchmetrics_majorscore.scoring import frames  # likewise

            self.framer = frames.ClipFrames(self.joint, options.frames, self.frame_size, self.device)
        heard = options.networks or options.sync
        names = [*(() if options.sounds_only else self.joint.modalities), *(("audio",) if heard else ())]
        names += ["video"] if options.sync else []
        self.wanted = {name: find_modality(name, self.joint) for name in names}
        self.pairs = list(combinations(self.joint.modalities, 2))

    @property
    def frame_size(self) -> int | None:
        """Height and width to which readers bring frames; None where the device does it."""
        return self.joint.frame_size if self.device.type == "cpu" else None

    @cached_property
    def signature(self) -> str:
        """What the embeddings depend on, in one line; builds the encoders."""
        parts = [] if self.options.sounds_only else [signature("", [self.joint], ()).removeprefix("|")]
        parts += ["base:" + "+".join(one.name for one in self.baseline)] if self.baseline else []
        parts += [f"nets:{self.listener.signature}"] if self.options.networks else []
        parts += [f"sync:{self.watcher.network.name}"] if self.watcher else []
        return "|".join([*parts, *([f"frames:{self.framer.fps:g}"] if self.framer else [])])

    def encode(self, clips: Sequence[ReadClip]) -> Encoded:
        """Encode a batch; what fails of a clip costs that modality of that clip only."""
        reasons: list[list[str]] = [list(clip.reasons) for clip in clips]
        remarks: list[list[str]] = [[] for _ in clips]
        encoded = Encoded([clip.entry.id for clip in clips])
        for prefix, modalities, encoder in self._spaces():
            for name in modalities:
                present = [place for place, clip in enumerate(clips) if clip.inputs.get(name) is not None]
                shared = name == "audio" and bool(self.options.networks)
                run = _Run(encoder, name, self.device, reasons, remarks, shared)
                rows = dict(run.over([(place, clips[place]) for place in present]))
                if rows:
                    width = len(next(iter(rows.values())))
                    missing = torch.full((width,), math.nan)
                    whole = torch.stack([rows.get(p, missing) for p in range(len(clips))])
                    encoded.vectors |= {prefix + view: part for view, part in encoder.split(name, whole).items()}
        encoded.vectors |= self.listener.hear(clips, reasons)
        encoded.vectors |= self.watcher.watch(clips, reasons, remarks) if self.watcher else {}
        heard = encoded.vectors.get("audio")
        encoded.vectors |= self.framer.score(clips, heard, reasons, remarks) if self.framer else {}
        remarks = [[*clip.remarks, *own] for clip, own in zip(clips, remarks, strict=True)]
        encoded.errors, encoded.remarks = _joined(clips, reasons), _joined(clips, remarks)
        for clip in clips:
            clip.near.close()
        return encoded

    def _spaces(self) -> Iterator[tuple[str, Sequence[str], SharedEncoder]]:
        if self.options.sounds_only:
            return
        yield "", self.joint.modalities, self.joint
        for (prefix, modalities), encoder in zip(BASELINE, self.baseline, strict=bool(self.baseline)):
            yield prefix, modalities, encoder


@dataclass
class _Run:
    """One modality through one encoder; collects reasons and remarks by place in the batch."""

    encoder: SharedEncoder
    name: str
    device: torch.device
    reasons: list[list[str]]
    remarks: list[list[str]]
    shared: bool = False

    def over(self, clips: Placed) -> Iterator[tuple[int, Tensor]]:
        """Give place and embedding of the clips that are not refused."""
        return try_each(self._encode, clips, self.name, self.reasons)

    def _encode(self, placed: Placed) -> Iterator[tuple[int, Tensor]]:
        places, clips = zip(*placed, strict=True)
        with exact_float32(self.device):
            items = [self._prepare(clip) for clip in clips]
        asker, key = (id(self), self._key(clips)) if self.shared else (None, None)
        vectors = self.encoder.encode(self.name, items, self.device, asker if key else None, key).cpu()
        for place, remark in self.encoder.remark(self.name, items, self.device).items():
            self.remarks[places[place]].append(f"{self.name} {remark}")
        return zip(places, vectors, strict=True)

    def _key(self, clips: Sequence[ReadClip]) -> tuple[object, ...] | None:
        """Give what networks that share the encoder's pass find it by; None for several rates, or pieces."""
        sounds, rates = [clip.inputs[self.name] for clip in clips], {clip.sample_rate for clip in clips}
        if len(rates) > 1 or not all(isinstance(sound, Tensor) for sound in sounds):
            return None
        return (*rates, *content_key([sound.to(self.device) for sound in sounds]))

    def _prepare(self, clip: ReadClip) -> Any:
        modality, given = find_modality(self.name, self.encoder), clip.inputs[self.name]
        if isinstance(given, Pieces) and self.encoder.streams(self.device):
            return modality.prepare_pieces(given, clip.sample_rate, self.encoder, self.device)
        if isinstance(given, Pieces):
            given = given.whole(LARGEST)
            if given is None:
                raise ValueError(f"Expected at most 2 GiB, got more, and {self.encoder.name} does not take pieces.")
        return modality.prepare(given, clip.sample_rate, self.encoder, self.device)


def _joined(clips: Sequence[ReadClip], words: Sequence[Sequence[str]]) -> dict[str, str]:
    """Give the words of each clip that has some, once each, in one line."""
    pairs = zip(clips, words, strict=True)
    return {clip.entry.id: clip.near.named("; ".join(dict.fromkeys(own))) for clip, own in pairs if own}


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"Expected device to be cpu or a GPU of this machine, got {name!r}.") from error
