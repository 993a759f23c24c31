"""``majorscore benchmark``: the consistency protocol on the clips of a manifest."""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.options import add_encoding, encoding
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.tables.read import MEANINGLESS, is_seeded

SETS = ("consistent", "mispaired")
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

    entries = read_manifest(options.manifest, options.folder)
    without = [entry.id for entry in entries if not entry.text]
    captioned = [entry for entry in entries if entry.text]
    with tqdm(total=len(captioned), unit="clip") as bar:
        how = EncodeOptions(baseline=True, **encoding(options))
        embeddings = embed_clips(captioned, options.output, how, bar.update)
    labels = [entry.label or str(entry.text) for entry in captioned]
    ids = [entry.id for entry in captioned]
    found = run_protocol(embeddings, ids, labels, options.seed)
    failed = [entry.id for entry in captioned if entry.id in embeddings.errors]
    lines = [f"{clip_id}: {embeddings.errors[clip_id]}" for clip_id in failed]
    lines += [*protocol_lines(found), f"signature: {embeddings.signature}|seed:{options.seed}"]
    lines += [f"{len(without)} clips without a caption were left out, e.g. {without[0]!r}."] if without else []
    if options.tables:
        paths = write_sets(embeddings, ids, labels, options.tables, options.seed)
        lines.append(f"written: {' and '.join(map(str, paths.values()))}")
    lines += [MEANINGLESS] if is_seeded(embeddings.signature) else []
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def protocol_lines(found: dict[str, Any]) -> Iterator[str]:
    """Lay out the results as Markdown tables."""
    from torchmetrics_majorscore.scoring.protocol import headline

    percent = headline(found)
    n, dropped = next((i.n, i.dropped) for method in found.values() for i in method.fairness.values())
    yield f"{n} clips, each with its own caption and with one of another class; {dropped} without a value."
    yield from ("", "| score | consistent | mispaired | above CLIPCLAP | AUROC | win rate | d' |")
    yield "|---|---|---|---|---|---|---|"
    for name, method in found.items():
        for combine, separation in method.separation.items():
            means = [_interval(method.means[part, combine]) for part in SETS]
            changes = ", ".join(_percent(percent[part, combine]) for part in SETS)
            columns = [_interval(separation[key]) for key in ("auroc", "win_rate", "d_prime")]
            above = changes if name == "MAJORScore" else ""
            yield f"| {name} {combine} | {' | '.join([*means, above, *columns])} |"
    yield from ("", f"| similarities | {' | '.join(TABLE_II)} | FairScore | standardised |", "|---|" + "---|" * 7)
    for name, method in found.items():
        for part in SETS:
            cells = [f"{getattr(method.balance[part], column):.4f}" for column in TABLE_II]
            cells += [_interval(method.fairness[part]), _interval(method.fairness_standardised[part])]
            yield f"| {name}, {part} | {' | '.join(cells)} |"
    yield ""


def _percent(value: float) -> str:
    return "undefined (CLIPCLAP <= 0)" if math.isnan(value) else f"{value:+.2f} %"


def _interval(interval: Any) -> str:
    return f"{interval.value:.4f} [{interval.low:.4f}, {interval.high:.4f}]"
