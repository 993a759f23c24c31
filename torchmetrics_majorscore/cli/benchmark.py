"""``majorscore benchmark``: the consistency protocol on the clips of a manifest."""

import argparse
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.ending import DONE, PARTLY
from torchmetrics_majorscore.cli.files import check_file, check_folder, naming
from torchmetrics_majorscore.cli.options import ENCODING, SAID, add_encoding, clips, encoding
from torchmetrics_majorscore.cli.printing import Output, drawn
from torchmetrics_majorscore.extras import needs_extras
from torchmetrics_majorscore.media.url import to_place

SETS = ("consistent", "mispaired")
SEPARATION = {"auroc": "AUROC", "win_rate": "win rate", "d_prime": "d'"}
NOT_ABOVE = "A percentage is n/a where CLIPCLAP's mean is not above 0 with its whole interval."
TABLE_II = ("mean_difference", "cohens_d", "t", "std_difference", "skewness")


def add_commands(commands: Any) -> None:
    """Register the command."""
    about = "the paper's consistency protocol: own against other captions"
    benchmark = commands.add_parser("benchmark", parents=[SAID], help=about)
    benchmark.add_argument("manifest", type=to_place, help="as for score; a column class or label, else the caption")
    benchmark.add_argument("--folder", type=to_place, help="folder of the clips (default: the manifest's own)")
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
    from torchmetrics_majorscore.statistics.consistency import derange

    entries = clips(options, out)
    without = {entry.id: "no caption" for entry in entries if not entry.text}
    captioned = [entry for entry in entries if entry.text]
    ids, labels = [entry.id for entry in captioned], [entry.label or str(entry.text) for entry in captioned]
    derange(labels, options.seed)  # a class over half is known before anything is encoded
    how = encoding(options, baseline=True)
    from torchmetrics_majorscore.scoring.embed import embed_clips
    from torchmetrics_majorscore.scoring.encode import EncodeOptions
    from torchmetrics_majorscore.scoring.protocol import headline, run_protocol, write_sets

    with naming(options.output), out.progress.bar(len(captioned), "clip") as advance:
        embeddings, changed = embed_clips(captioned, options.output, EncodeOptions(**how), advance)
    failures = without | {clip_id: embeddings.errors[clip_id] for clip_id in ids if clip_id in embeddings.errors}
    found = run_protocol(embeddings, ids, labels, options.seed)
    out.record(methods=found, above_clipclap=headline(found), changed=len(changed), seed=options.seed)
    for name, frame in protocol_tables(found).items():
        out.table(name, frame)
    n, dropped = next((i.n, i.dropped) for i in found["MAJORScore"].fairness.values())
    notes = [f"{n} clips, each with its own caption and with one of another class; {dropped} without a value."]
    notes += [f"{len(changed)} clips have changed and were encoded again, e.g. {changed[0]!r}."] if changed else []
    if options.tables:
        paths = write_sets(embeddings, ids, labels, options.tables, options.seed)
        out.record(written=paths)
        notes.append(f"written: {' and '.join(map(str, paths.values()))}")
    out.notes(*notes, NOT_ABOVE, drawn(options.seed))
    out.origin(f"{embeddings.signature}|seed:{options.seed}")
    out.remarks({i: embeddings.remarks[i] for i in ids if i in embeddings.remarks}, f"in {options.output}")
    out.failures(failures, len(entries), f"in {options.output}")
    return PARTLY if failures else DONE


def protocol_tables(found: dict[str, Any]) -> dict[str, Any]:
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
    tables = {"separation": pd.DataFrame(rows).set_index("score")}
    if "CLIPCLAP" in found:
        percent = pd.Series(headline(found)).unstack(level=0)
        tables["percent"] = percent.rename_axis("MAJORScore above CLIPCLAP, in %")[list(SETS)]
    rows = []
    for name, method in found.items():
        for part in SETS:
            own = {column: getattr(method.balance[part], column) for column in TABLE_II}
            own |= interval_cells("FairScore", method.fairness[part])
            own |= interval_cells("standardised", method.fairness_standardised[part])
            rows.append({"similarities": f"{name}, {part}"} | own)
    return tables | {"balance": pd.DataFrame(rows).set_index("similarities")}
