"""``majorscore benchmark``: the consistency protocol on the clips of a manifest."""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.ending import DONE, NOTHING, PARTLY
from torchmetrics_majorscore.cli.files import check_file, check_folder, naming
from torchmetrics_majorscore.cli.options import ENCODING, SAID, add_encoding, encoding
from torchmetrics_majorscore.cli.printing import Output
from torchmetrics_majorscore.extras import needs_extras

SETS = ("consistent", "mispaired")
TABLE_II = ("mean_difference", "cohens_d", "t", "std_difference", "skewness")


def add_commands(commands: Any) -> None:
    """Register the command."""
    about = "the paper's consistency protocol: own against other captions"
    benchmark = commands.add_parser("benchmark", parents=[SAID], help=about)
    benchmark.add_argument("manifest", type=Path, help="as for score; a column class or label, else the caption")
    benchmark.add_argument("--folder", type=Path, help="folder of the clips (default: the manifest's own)")
    embeddings = "file of per-clip embeddings, continued if it exists (default: %(default)s)"
    benchmark.add_argument("-o", "--output", type=Path, default=Path("embeddings.safetensors"), help=embeddings)
    tables = "also write the scores of both sets there: consistent.csv and mispaired.csv, as for report"
    benchmark.add_argument("--tables", type=Path, metavar="FOLDER", help=tables)
    benchmark.add_argument("--seed", type=int, default=0, help="of mispairing and intervals (default: %(default)s)")
    add_encoding(benchmark)
    benchmark.set_defaults(run=_benchmark, again="{output} keeps what is encoded; the same command continues there.")


def _benchmark(options: argparse.Namespace, out: Output) -> int:
    needs_extras(ENCODING | {"scipy": "evaluation"})
    check_file(options.output)
    if options.tables:
        check_folder(options.tables)
    from torchmetrics_majorscore.media import read_manifest
    from torchmetrics_majorscore.statistics.consistency import derange

    entries = read_manifest(options.manifest, options.folder)
    without = {entry.id: "no caption" for entry in entries if not entry.text}
    captioned = [entry for entry in entries if entry.text]
    ids, labels = [entry.id for entry in captioned], [entry.label or str(entry.text) for entry in captioned]
    derange(labels, options.seed)  # a class over half is known before anything is encoded
    how = encoding(options, baseline=True)
    from torchmetrics_majorscore.scoring.embed import embed_clips
    from torchmetrics_majorscore.scoring.encode import EncodeOptions
    from torchmetrics_majorscore.scoring.protocol import headline, run_protocol, write_sets

    with naming(options.output), out.progress.bar(len(captioned), "clip") as advance:
        embeddings = embed_clips(captioned, options.output, EncodeOptions(**how), advance)
    failures = without | {clip_id: embeddings.errors[clip_id] for clip_id in ids if clip_id in embeddings.errors}
    found = run_protocol(embeddings, ids, labels, options.seed)
    if not found:
        out.failures(failures, len(entries), f"in {options.output}")
        return NOTHING
    out.record(methods=found, above_clipclap=headline(found), seed=options.seed)
    out.result(*protocol_lines(found))
    out.origin(f"{embeddings.signature}|seed:{options.seed}")
    if options.tables:
        paths = write_sets(embeddings, ids, labels, options.tables, options.seed)
        out.record(written=paths)
        out.notes(f"written: {' and '.join(map(str, paths.values()))}")
    out.failures(failures, len(entries), f"in {options.output}")
    return PARTLY if failures else DONE


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
