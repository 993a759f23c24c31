"""``majorscore benchmark``: the consistency protocol on the clips of a manifest."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.cli.ending import DONE, PARTLY
from torchmetrics_majorscore.cli.files import check_file, check_folder, naming
from torchmetrics_majorscore.cli.options import ENCODING, SAID, add_encoding, add_pairs, clips, encoding, has_baseline
from torchmetrics_majorscore.cli.printing import Output, drawn
from torchmetrics_majorscore.extras import needs_extras
from torchmetrics_majorscore.media.url import to_place
from torchmetrics_majorscore.tables.parquet import is_parquet

if TYPE_CHECKING:
    from torchmetrics_majorscore.media import Entry
    from torchmetrics_majorscore.scoring.protocol import Consistency, Protocol

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
    embeddings = "file of per-clip embeddings, also .parquet, continued if it exists (default: %(default)s)"
    benchmark.add_argument("-o", "--output", type=Path, default=Path("embeddings.safetensors"), help=embeddings)
    tables = "also write the scores of both sets there: consistent.csv and mispaired.csv, as for report"
    benchmark.add_argument("--tables", type=Path, metavar="FOLDER", help=tables)
    add_pairs(benchmark)
    exchange = "what comes from a clip of another class in the mispaired set (default: %(default)s)"
    benchmark.add_argument("--exchange", metavar="MODALITY", default="text", help=exchange)
    labels = "CSV of true labels, several per clip: video_id,label,modality, as VGGSounder's; none of a clip's own is "
    benchmark.add_argument("--labels", type=Path, metavar="CSV", help=f"{labels}a mispairing")
    benchmark.add_argument("--seed", type=int, default=0, help="of mispairing and intervals (default: %(default)s)")
    add_encoding(benchmark)
    benchmark.set_defaults(run=_benchmark, again="{output} keeps what is encoded; the same command continues there.")


def _benchmark(options: argparse.Namespace, out: Output) -> int:
    needed = {"pyarrow": "scale"} if is_parquet(options.output) else {}
    needs_extras(ENCODING | {"scipy": "evaluation"} | needed)
    check_file(options.output)
    if options.tables:
        check_folder(options.tables)
    from torchmetrics_majorscore.statistics.consistency import derange

    entries = clips(options, out)
    classed, without = _classed(entries, options.exchange)
    ids, labels = [entry.id for entry in classed], [entry.label or str(entry.text) for entry in classed]
    true = _true_labels(options.labels, ids)
    # That a class has too many clips is known before anything is encoded.
    derange(labels, options.seed, [true.get(clip_id, ()) for clip_id in ids])
    how = encoding(options, baseline=has_baseline(options.encoder))
    from torchmetrics_majorscore.scoring.embed import embed_clips
    from torchmetrics_majorscore.scoring.encode import EncodeOptions
    from torchmetrics_majorscore.scoring.protocol import Protocol, run_protocol, write_sets

    protocol = Protocol(how["encoder"].modalities, options.pairs, options.exchange, options.seed, true)
    with naming(options.output), out.progress.bar(len(classed), "clip") as advance:
        embeddings, changed = embed_clips(classed, options.output, EncodeOptions(**how), advance)
    failures = without | {i: embeddings.errors[i] for i in ids if i in embeddings.errors}
    found = run_protocol(embeddings, ids, labels, protocol)
    _print(found, protocol, changed, out)
    if options.tables:
        paths = write_sets(embeddings, ids, labels, options.tables, protocol)
        out.record(written=paths)
        out.notes(f"written: {' and '.join(map(str, paths.values()))}")
    out.origin(f"{embeddings.signature}|seed:{options.seed}")
    out.remarks({i: embeddings.remarks[i] for i in ids if i in embeddings.remarks}, f"in {options.output}")
    out.failures(failures, len(entries), f"in {options.output}")
    return PARTLY if failures else DONE


def _classed(entries: "Sequence[Entry]", exchange: str) -> tuple["list[Entry]", dict[str, str]]:
    """Give the clips that can be exchanged, and why the others cannot: a caption is its own class."""
    able = {entry.id: bool(entry.text or (entry.label and exchange != "text")) for entry in entries}
    reason = "no caption" if exchange == "text" else "no class"
    return [entry for entry in entries if able[entry.id]], {name: reason for name, fits in able.items() if not fits}


def _print(found: "dict[str, Consistency]", protocol: "Protocol", changed: Sequence[str], out: Output) -> None:
    from torchmetrics_majorscore.scoring.protocol import headline

    out.record(methods=found, above_clipclap=headline(found), changed=len(changed), seed=protocol.seed)
    for name, frame in protocol_tables(found).items():
        out.table(name, frame)
    mean, what = found["MAJORScore"].means["consistent", "average"], protocol.exchanged
    what = "caption" if what == "text" else what
    notes = [f"{mean.n} clips, each with its own {what} and with one of another class; {mean.dropped} without a value."]
    if protocol.true:
        several = sum(len(own) > 1 for own in protocol.true.values())
        notes.append(f"{len(protocol.true)} clips have true labels, {several} of them several: none is a mispairing.")
    notes += [f"{len(changed)} clips have changed and were encoded again, e.g. {changed[0]!r}."] if changed else []
    out.notes(*notes, *([NOT_ABOVE] if "CLIPCLAP" in found else []), drawn(protocol.seed))


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
            own = {column: getattr(method.balance[part], column) for column in TABLE_II if part in method.balance}
            if part in method.fairness:
                own |= interval_cells("FairScore", method.fairness[part])
                own |= interval_cells("standardised", method.fairness_standardised[part])
                rows.append({"similarities": f"{name}, {part}"} | own)
    return tables | ({"balance": pd.DataFrame(rows).set_index("similarities")} if rows else {})


def _true_labels(path: Path | None, ids: Sequence[str]) -> dict[str, set[str]]:
    """Give the true labels of the clips that a file knows; ValueError if it knows none."""
    if path is None:
        return {}
    from torchmetrics_majorscore.tables.labels import read_labels

    known = read_labels(path)
    found = {clip_id: {label for label, _ in known[clip_id]} for clip_id in ids if clip_id in known}
    if not found:
        raise ValueError(f"Expected labels of these clips in {path}, got those of others, such as {next(iter(known))}.")
    return found
