"""``majorscore benchmark``: the consistency protocol on the clips of a manifest."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.options import add_encoding, encoding
from torchmetrics_majorscore.cli.printing import drawn, few, origin, print_notes, print_table
from torchmetrics_majorscore.extras import needs_extra

SETS = ("consistent", "mispaired")
SEPARATION = {"auroc": "AUROC", "win_rate": "win rate", "d_prime": "d'"}
NOT_ABOVE = "A percentage is n/a where CLIPCLAP's mean is not above 0 with its whole interval."
TABLE_II = ("mean_difference", "cohens_d", "t", "std_difference", "skewness")


def add_commands(commands: Any) -> None:
    """Register the command."""
    benchmark = commands.add_parser("benchmark", help="the paper's consistency protocol: own against other captions")
    benchmark.add_argument("manifest", type=Path, help="as for score; a column class or label, else the caption")
    benchmark.add_argument("--folder", type=Path, help="folder of the clips (default: the manifest's own)")
    embeddings = "file of per-clip embeddings, continued if it exists (default: %(default)s)"
    benchmark.add_argument("-o", "--output", type=Path, default=Path("embeddings.safetensors"), help=embeddings)
    tables = "also write the scores of both sets there: consistent.csv and mispaired.csv, as for report"
    benchmark.add_argument("--tables", type=Path, metavar="FOLDER", help=tables)
    benchmark.add_argument("--seed", type=int, default=0, help="of mispairing and intervals (default: %(default)s)")
    add_encoding(benchmark)
    benchmark.set_defaults(run=_benchmark)


def _benchmark(options: argparse.Namespace) -> int:
    needs_extra("av", "media")
    needs_extra("scipy", "evaluation")
    from tqdm import tqdm

    from torchmetrics_majorscore.media import read_manifest
    from torchmetrics_majorscore.scoring.embed import embed_clips
    from torchmetrics_majorscore.scoring.encode import EncodeOptions
    from torchmetrics_majorscore.scoring.protocol import run_protocol, write_sets
    from torchmetrics_majorscore.statistics.consistency import derange

    entries = read_manifest(options.manifest, options.folder, audio_track=options.audio_track)
    captioned = [entry for entry in entries if entry.text]
    ids, labels = [entry.id for entry in captioned], [entry.label or str(entry.text) for entry in captioned]
    derange(labels, options.seed)  # an error now rather than after hours
    with tqdm(total=len(captioned), unit="clip") as bar:
        how = EncodeOptions(baseline=True, **encoding(options))
        embeddings, changed = embed_clips(captioned, options.output, how, bar.update)
    found = run_protocol(embeddings, ids, labels, options.seed)
    for frame in protocol_tables(found):
        print_table(frame, "markdown")
        sys.stdout.write("\n")
    n, dropped = next((i.n, i.dropped) for i in found["MAJORScore"].fairness.values())
    notes = [f"{n} clips, each with its own caption and with one of another class; {dropped} without a value."]
    notes += [f"{len(changed)} clips have changed and were encoded again, e.g. {changed[0]!r}."] if changed else []
    if without := [entry.id for entry in entries if not entry.text]:
        notes.append(f"{len(without)} clips without a caption were left out, e.g. {without[0]!r}.")
    notes += [left_out] if (left_out := entries.describe_left_out()) else []
    failures = {clip_id: embeddings.errors[clip_id] for clip_id in ids if clip_id in embeddings.errors}
    notes += [f"{len(failures)} clips failed, in whole or in part.", *few(failures)] if failures else []
    if options.tables:
        paths = write_sets(embeddings, ids, labels, options.tables, options.seed)
        notes.append(f"written: {' and '.join(map(str, paths.values()))}, with all reasons")
    print_notes(
        [*notes, NOT_ABOVE, drawn(options.seed), *origin(f"{embeddings.signature}|seed:{options.seed}")], "markdown"
    )
    return 1 if failures else 0


def protocol_tables(found: dict[str, Any]) -> Iterator[Any]:
    """Lay out the results as DataFrames: how scores separate the sets, the paper's percentages, balance."""
    import pandas as pd

    from torchmetrics_majorscore.scoring.protocol import headline
    from torchmetrics_majorscore.tables.render import interval_cells

    rows = []
    for name, method in found.items():
        for combine, separation in method.separation.items():
            cells = {part: method.means[part, combine] for part in SETS}
            cells |= {title: separation[key] for key, title in SEPARATION.items()}
            parts = [interval_cells(title, interval) for title, interval in cells.items()]
            rows.append({"score": f"{name} {combine}"} | {k: v for part in parts for k, v in part.items()})
    yield pd.DataFrame(rows).set_index("score")
    if "CLIPCLAP" in found:
        percent = pd.Series(headline(found)).unstack(level=0)
        yield percent.rename_axis("MAJORScore above CLIPCLAP, in %")[list(SETS)]
    rows = []
    for name, method in found.items():
        for part in SETS:
            own = {column: getattr(method.balance[part], column) for column in TABLE_II}
            own |= interval_cells("FairScore", method.fairness[part])
            own |= interval_cells("standardised", method.fairness_standardised[part])
            rows.append({"similarities": f"{name}, {part}"} | own)
    yield pd.DataFrame(rows).set_index("similarities")
