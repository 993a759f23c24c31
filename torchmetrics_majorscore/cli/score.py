"""``majorscore score``: the clips of a manifest to a table."""

import argparse
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.ending import DONE, NOTHING, PARTLY
from torchmetrics_majorscore.cli.files import check_file, naming
from torchmetrics_majorscore.cli.options import ENCODING, SAID, add_encoding, clips, encoding
from torchmetrics_majorscore.cli.printing import Output
from torchmetrics_majorscore.extras import needs_extras


def add_commands(commands: Any) -> None:
    """Register the command."""
    score = commands.add_parser("score", parents=[SAID], help="score the clips of a manifest")
    score.add_argument("manifest", type=Path, help="CSV, TSV or JSONL with id, video, audio, text; or a folder")
    score.add_argument("--folder", type=Path, help="folder of the clips (default: the manifest's own)")
    score.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("scores.csv"),
        help="per-clip table, with a .json summary beside it; a table that exists is continued (default: %(default)s)",
    )
    pairs = "pairs of the MAJORScores: text, all, or like video-audio,text-audio (default: %(default)s)"
    score.add_argument("--pairs", default="text", help=pairs)
    score.add_argument("--baseline", action="store_true", help="add clipscore and clapscore")
    score.add_argument("--retry-failed", action="store_true", help="score the clips again whose row has an error")
    add_encoding(score)
    score.set_defaults(run=_score, again="{output} keeps the finished rows; the same command continues there.")


def _score(options: argparse.Namespace, out: Output) -> int:
    needs_extras(ENCODING)
    check_file(options.output)

    entries = clips(options, out)
    encoded = encoding(options, options.baseline)
    from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips

    pairs = options.pairs.split(",") if "-" in options.pairs else options.pairs
    how = ScoreOptions(pairs=pairs, retry_failed=options.retry_failed, **encoded)
    with naming(options.output), out.progress.bar(len(entries), "clip") as advance:
        summary = score_clips(entries, options.output, how, advance)
    _print_summary(summary, options.output, out)
    found = any(column["count"] for column in summary["columns"].values())
    return (PARTLY if summary["failed"] else DONE) if found else NOTHING


def _print_summary(summary: dict[str, Any], path: Path, out: Output) -> None:
    written = [path, path.with_suffix(".json")]
    out.record(**summary, written=written)
    out.notes(
        *(
            f"{name:24} {column['mean'] if column['count'] else float('nan'):9.4f}   mean of {column['count']} clips"
            for name, column in summary["columns"].items()
        )
    )
    out.origin(summary["signature"])
    out.notes(f"written: {' and '.join(map(str, written))}")
    out.remarks(summary["remarks"], f"in the column remarks of {path}")
    out.failures(summary["failures"], summary["clips"], f"in the column error of {path}")
