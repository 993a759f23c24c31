"""The table of a video-to-audio paper over files: what each clip has, and what only all of them have."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.media import Entry
from torchmetrics_majorscore.scoring.embed import embed_clips
from torchmetrics_majorscore.scoring.paper_table import Column, PaperTable
from torchmetrics_majorscore.scoring.read import source_of
from torchmetrics_majorscore.scoring.score import ScoreOptions
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings
from torchmetrics_majorscore.tables.read import is_seeded
from torchmetrics_majorscore.tables.write import ScoreTable, check_table

SEEN = "videos.sqlite"


@dataclass(frozen=True)
class EvaluateOptions(ScoreOptions):
    """How generated clips are evaluated.

    Args:
        networks: and the others, see :class:`.EncodeOptions` and :class:`.ScoreOptions`.
        seed: of the intervals.
    """

    seed: int = 0


@dataclass(frozen=True)
class Evaluation:
    """What :func:`evaluate_clips` found.

    Args:
        columns: by their names.
        failures: id to the reason why a generated clip, or a part of it, has no value.
        unpaired: ids of generated clips that have no reference; None without any reference.
        changed: ids that were encoded again since their files have changed.
    """

    columns: dict[str, Column]
    failures: dict[str, str]
    unpaired: list[str] | None
    changed: list[str]


def with_references(generated: Sequence[Entry], reference: Sequence[Entry]) -> list[Entry]:
    """Give generated clips that are sounds alone the picture and the caption of their reference.

    Args:
        generated: the clips.
        reference: real ones.

    Raises:
        ValueError: they have no id in common.
    """
    real = {entry.id: entry for entry in reference}
    if not real.keys() & {entry.id for entry in generated}:
        raise ValueError(
            f"Expected generated and real clips with the same ids, got none in common, but {generated[0].id!r} and "
            f"{reference[0].id!r}: ids are the paths within a folder without suffix, or the column id of a manifest."
        )
    return [_completed(entry, real[entry.id]) if entry.id in real else entry for entry in generated]


def _completed(entry: Entry, real: Entry) -> Entry:
    if entry.video is None:
        entry = replace(entry, video=real.video, label=entry.label or real.label)
    return replace(entry, text=entry.text or real.text, files={**real.files, **entry.files})


def evaluate_clips(
    generated: Sequence[Entry],
    reference: Sequence[Entry] | None,
    output: Path,
    options: EvaluateOptions,
    on_clip: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Evaluate generated clips and write a row for each.

    What encoders and networks give is kept beside the table, in ``NAME.generated.safetensors`` and
    ``NAME.reference.safetensors``, by the content of the files: a second run computes only what has changed. What
    ``sync`` sees in pictures is kept in ``videos.sqlite`` of the same folder, for all tables there.

    Args:
        generated: the clips; their ids are unique.
        reference: the real clips, whose sounds are compared with those of the same ids; None without.
        output: per-clip table, as :func:`.score_clips` writes it; an older one is replaced.
        options: how.
        on_clip: called after each clip of either side.

    Raises:
        ValueError: the output is no table, one of the files beside it has another signature, no id is common.
        BlockingIOError: another process writes one of them.
        FileNotFoundError: weights are missing.
    """
    check_table(output)
    reals: ClipEmbeddings | None = None
    completed: list[Entry] = list(generated)
    changed: list[str] = []
    if reference is not None:
        completed = with_references(generated, reference)
        how = replace(options, baseline=False, sync=None, frames=None, sounds_only=True)
        alone: dict[str, Any] = {"video": None, "text": None, "files": {}}
        sounds = [replace(entry, audio=entry.audio or entry.video, **alone) for entry in reference]
        if options.networks:
            reals, changed = embed_clips(sounds, output.with_suffix(".reference.safetensors"), how, on_clip)
    if options.sync is not None and options.seen is None:
        options = replace(options, seen=output.with_name(SEEN))
    own, again = embed_clips(completed, output.with_suffix(".generated.safetensors"), options, on_clip)
    ids = [entry.id for entry in completed]
    table = PaperTable(own, ids, reals, [entry.id for entry in reference or ()], options, options.seed)
    columns = table.columns()
    _write(output, table, own, {entry.id: source_of(entry) for entry in completed}, columns)
    known = None if reference is None else {entry.id for entry in reference}
    return Evaluation(
        columns,
        {clip_id: own.errors[clip_id] for clip_id in ids if clip_id in own.errors},
        None if known is None else [clip_id for clip_id in ids if clip_id not in known],
        [*changed, *again],
    )


def _write(
    output: Path, table: PaperTable, own: ClipEmbeddings, sources: Mapping[str, str], columns: Mapping[str, Column]
) -> None:
    """Write the per-clip table, as `majorscore score` does, with all columns in its summary."""
    output.unlink(missing_ok=True)
    signature = table.scorer.signature
    written = ScoreTable(output, list(table.rows), signature, sources)
    for place, clip_id in enumerate(table.ids):
        values = {name: column[place] for name, column in table.rows.items()}
        written.add(clip_id, values, own.errors.get(clip_id, ""), own.remarks.get(clip_id, ""))
    shown = {
        name: {key: None if x != x else x for key, x in asdict(column).items()}  # NaN
        for name, column in columns.items()
    }
    written.write_summary(seeded=is_seeded(signature), evaluation=shown)
