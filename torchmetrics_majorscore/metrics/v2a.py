"""What a validation of a video-to-audio model prints: MAJORScores, and beside them FD, KL and IS."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from torchmetrics_majorscore.encoders import ENCODERS, Encoder, load_encoder
from torchmetrics_majorscore.functional.onset_detection import Protocol
from torchmetrics_majorscore.functional.similarity import Pairs
from torchmetrics_majorscore.metrics.collection import major_members
from torchmetrics_majorscore.metrics.conditions import as_conditions
from torchmetrics_majorscore.metrics.count import VectorCount
from torchmetrics_majorscore.metrics.desync import DeSync
from torchmetrics_majorscore.metrics.frames import FrameScores
from torchmetrics_majorscore.metrics.frechet import FrechetDistance
from torchmetrics_majorscore.metrics.given import GivenMetric
from torchmetrics_majorscore.metrics.hearing import TARGET
from torchmetrics_majorscore.metrics.inception import InceptionScore
from torchmetrics_majorscore.metrics.kl import PairedKL
from torchmetrics_majorscore.metrics.onsets import OnsetScores
from torchmetrics_majorscore.metrics.options import MetricOptions
from torchmetrics_majorscore.metrics.rows import RowMetric
from torchmetrics_majorscore.metrics.statistics import FeatureStatistics
from torchmetrics_majorscore.metrics.together import RowCollection
from torchmetrics_majorscore.networks import NETWORKS, Network, SharedNetwork, load_network
from torchmetrics_majorscore.networks.synchrony import SharedSync, Sync, compares, load_sync
from torchmetrics_majorscore.networks.table import SYNC
from torchmetrics_majorscore.networks.zero_shot import zero_shot_network

Reference = FeatureStatistics | str | Path


class V2AMetrics(RowCollection):
    """MAJORScores, and Fréchet distance, divergence and inception score of the same sounds, each network run once.

    By default the columns beside those of :class:`MAJORScores` come from the joint encoder's own pass and need no
    further weights, see :func:`.zero_shot_network`: ``fd_clap`` over CLAP's vectors of the sounds, ``kl_zero_shot``
    and ``is_zero_shot`` over a list of labels. They are not the published ones, which ``networks`` adds: ``fd_panns``,
    ``kl_panns``, ``is_panns``, ``fd_vggish`` and so on. ``fd_..._n`` beside each distance is the number of generated
    vectors: compare distances of equal numbers only. ``"synchformer"`` adds ``desync``, see :class:`.DeSync`; with the
    encoder ``c-mcr-tiny`` and videos of 25 frames per second and more there is ``desync_tiny`` by ``sync-tiny``.

    Args:
        encoder: see :class:`MAJORScore`.
        networks: names out of :data:`.NETWORKS` or ``"synchformer"``, or short names for the columns to what
            :func:`.load_network` or, for a network that compares sound and frames, :func:`.load_sync` takes. It sees 25
            frames per second: ``fps`` is of the video as it is, and not 1.
        target: whether ``update`` gets ``target_audio``, the sounds to compare with, or knows them by id, see
            ``cache_conditions``. Without, the columns that need them are left out.
        references: statistics of real sounds, or their files, by the name of their column, as ``{"fd_clap": "a.st"}``:
            distances to these, and not to the targets.
        labels: see :func:`.zero_shot_network`.
        scale: see :func:`.zero_shot_network`.
        free: whether the columns of the joint encoder's own pass are wanted.
        onsets: protocol of ``onset_accuracy``, ``onset_average_precision`` and ``onset_f1`` against the onsets that are
            detected in the targets, see :class:`.OnsetScores`; None without.
        frames: whether ``avhscore``, ``javisscore`` and ``synchrony`` are wanted, over every frame of the video, see
            :class:`.FrameScores`.
        splits: of the inception scores of ``networks``; ``is_zero_shot`` has one, over all sounds.
        pairs: see :class:`MAJORScores`.
        absolute: see :class:`MAJORScores`.
        prefix: put in front of each name, for example ``"val/"``.
        postfix: put behind each name.
        options: of all members, see :class:`.MetricOptions`.

    Raises:
        ValueError: a reference without a column, or an unknown option.

    Example:
        >>> import torch
        >>> from torchmetrics_majorscore import V2AMetrics
        >>> metrics = V2AMetrics("c-mcr-tiny", sample_rate=48_000, fps=1)
        >>> [name for name in metrics if name[:4] not in ("majo", "simi", "fair")]
        ['fd_clap', 'fd_clap_n', 'is_zero_shot', 'kl_zero_shot']
    """

    def __init__(
        self,
        encoder: Encoder = "c-mcr",
        *,
        networks: Sequence[str] | Mapping[str, Network | Sync] = (),
        target: bool = True,
        references: Mapping[str, Reference] | None = None,
        labels: str | Path | Sequence[str] | None = None,
        scale: float | None = None,
        free: bool = True,
        onsets: Protocol | None = None,
        frames: bool = False,
        splits: int = 10,
        pairs: Pairs = "text",
        absolute: bool = False,
        prefix: str | None = None,
        postfix: str | None = None,
        **options: Unpack[MetricOptions],
    ) -> None:
        self.needs_target = target
        shared = load_encoder(encoder)
        options["cache_conditions"] = as_conditions(options.get("cache_conditions", False)) or False
        majors: dict[str, RowMetric] = {**major_members(shared, pairs, absolute, None, options)}
        own: Any = {name: value for name, value in options.items() if name != "fps"}
        chosen = _chosen(networks)
        if free and shared.portable_key.split("|")[0] == "c-mcr-tiny":
            chosen |= _of_the_world(options.get("fps"), chosen)
        columns = _Columns(target, dict(references or {}), own)
        groups = [majors]
        if frames:
            groups.append({"frames": FrameScores(shared, **options)})
        if free:
            heard = zero_shot_network(shared, labels, scale)
            of = "clap" if shared.portable_key.split("|")[0] in ENCODERS else "joint"
            groups += columns.distance(of, heard) + columns.of_classes("zero_shot", heard, 1)
        for name, network in chosen.items():
            if isinstance(network, SharedSync):
                column = SYNC[name].column if name in SYNC else f"desync_{name}"
                groups.append({column: DeSync(network=network, fps=options.get("fps"), **own)})
                continue
            groups += columns.distance(name, network)
            entry = NETWORKS.get(network.portable_key.split("|")[0])
            if entry is None or entry.classes:
                groups += columns.of_classes(name, network, splits)
        if onsets is not None:
            groups += columns.onsets(onsets)
        columns.finish()
        super().__init__(groups, prefix=prefix, postfix=postfix)
        self._say_once()

    def _say_once(self) -> None:
        """Let one member warn of a sample, and not all."""
        said, networks = ["audio"], set()
        for first, *_ in self._row_groups:
            if isinstance(first, (DeSync, FrameScores)):
                first.hearing.said = ("audio", "video")
            elif isinstance(first, GivenMetric) and first.hearing:
                key = first.hearing.network.key
                first.hearing.said = (*said, *(["too short"] if key in networks else []))
                networks.add(key)
                said = ["audio", *([TARGET] if first._wants_target or TARGET in said else [])]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Score a batch, see :meth:`.SimilarityMetric.update`.

        Args:
            args: none.
            kwargs: ``video``, ``text``, ``audio``, ``ids``, and ``target_audio``, the sounds to compare with, like
                ``audio``; it may be left out for ids that were given with theirs before, see ``cache_conditions``.

        Raises:
            ValueError: an input that does not fit; nothing of the batch is kept.
        """
        with self._whole_batches(kwargs):
            super().update(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Score a batch as :meth:`update`, and give its values."""
        with self._whole_batches(kwargs):
            values: dict[str, Any] = super().forward(*args, **kwargs)
        return values

    @contextmanager
    def _whole_batches(self, batch: Mapping[str, Any]) -> Iterator[None]:
        """Take from all members what some have kept of a batch that another refuses."""
        self._require_target(batch)
        members = [member for group in self._row_groups for member in group]
        held = [(member, member.ids, member.values, len(member.ids)) for member in members]
        try:
            yield
        except BaseException:
            for member, ids, values, count in held:
                del ids[count:], values[count:]  # in place, for the members of a group share them
                member.ids, member.values = ids, values
            raise

    def _require_target(self, batch: Mapping[str, Any]) -> None:
        for first, *_ in self._row_groups if batch.get(TARGET) is None else ():
            hearing = first.hearing if isinstance(first, GivenMetric) and first._wants_target else None
            if hearing and not hearing.recalls(batch.get("ids")):
                raise ValueError(
                    "Expected target_audio to compare with, got none; V2AMetrics(target=False) goes without."
                )

    @property
    def signatures(self) -> dict[str, str]:
        """Every choice that moves a value, for each; builds the networks."""
        named: Any = self.items(copy_state=False)
        return {name: member.signature for name, member in named if not isinstance(member, VectorCount)}


class _Columns:
    """Which columns a network gives, with what there is to compare with."""

    def __init__(self, target: bool, references: dict[str, Reference], options: dict[str, Any]) -> None:
        self.target = target
        self.references = references
        self.options = options
        self.lost: list[str] = []

    def distance(self, of: str, network: SharedNetwork) -> list[dict[str, RowMetric]]:
        """Give the group of a Fréchet distance, if there is a reference."""
        name = f"fd_{of}"
        reference = self.references.pop(name, None)
        if reference is None and not self.target:
            self.lost.append(name)
            return []
        kinds = {name: FrechetDistance, f"{name}_n": VectorCount}
        return [{key: kind(reference, network=network, **self.options) for key, kind in kinds.items()}]

    def of_classes(self, of: str, network: SharedNetwork, splits: int) -> list[dict[str, RowMetric]]:
        """Give the groups of a divergence, if there are targets, and of an inception score."""
        sure: dict[str, RowMetric] = {f"is_{of}": InceptionScore(splits, network=network, **self._generated)}
        if self.target:
            return [{f"kl_{of}": PairedKL(network=network, **self.options)}, sure]
        self.lost.append(f"kl_{of}")
        return [sure]

    def onsets(self, protocol: Protocol) -> list[dict[str, RowMetric]]:
        """Give the group of the onset scores, if there are targets."""
        if self.target:
            return [{"onsets": OnsetScores(protocol, **self.options)}]
        self.lost.append("onsets")
        return []

    @property
    def _generated(self) -> dict[str, Any]:
        return {name: value for name, value in self.options.items() if name != "cache_conditions"}

    def finish(self) -> None:
        """Say what was left out, and refuse what is left over."""
        if self.references:
            raise ValueError(f"Expected references by the name of their column, got {', '.join(self.references)}.")
        if self.lost:
            warnings.warn(
                f"{', '.join(self.lost)} are left out, since there is nothing to compare with: give target_audio "
                "(target=True), or statistics for the distances (references=...).",
                stacklevel=3,
            )


def _of_the_world(fps: float | None, chosen: Mapping[str, object]) -> dict[str, SharedNetwork | SharedSync]:
    """Give the network that compares sound and frames of the embedded world, if the frames are enough for it."""
    own = load_sync("sync-tiny")
    given = any(isinstance(network, SharedSync) for network in chosen.values())
    return {} if given or fps is None or own.describe_slow(fps) else {"sync-tiny": own}


def _chosen(networks: Sequence[str] | Mapping[str, Network | Sync]) -> dict[str, SharedNetwork | SharedSync]:
    """Give names of columns to handles."""
    if isinstance(networks, str):
        raise ValueError(f"Expected networks as a list of names, got {networks!r}.")
    named: Any = networks if isinstance(networks, Mapping) else dict(zip(networks, networks, strict=True))
    return {name: load_sync(network) if compares(network) else load_network(network) for name, network in named.items()}
