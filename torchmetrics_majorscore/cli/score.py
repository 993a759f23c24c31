"""``majorscore score``: the clips of a manifest to a table."""

import argparse
import sys
from pathlib import Path
from typing import Any

from torchmetrics_majorscore.cli.options import add_encoding, encoding
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.tables.read import MEANINGLESS


def add_commands(commands: Any) -> None:
    """Register the command."""
    score = commands.add_parser("score", help="score the clips of a manifest")
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
    score.set_defaults(run=_score)


def _score(options: argparse.Namespace) -> int:
    needs_extra("av", "media")
    from tqdm import tqdm

    from torchmetrics_majorscore.media import read_manifest
    from torchmetrics_majorscore.scoring.score import ScoreOptions, score_clips

    entries = read_manifest(options.manifest, options.folder, audio_track=options.audio_track)
    pairs = options.pairs.split(",") if "-" in options.pairs else options.pairs
    own = {"baseline": options.baseline, "retry_failed": options.retry_failed}
    how = ScoreOptions(pairs=pairs, **own, **encoding(options))
    with tqdm(total=len(entries), unit="clip") as bar:
        summary = score_clips(entries, options.output, how, bar.update)
    _print_summary(summary, options.output, entries.describe_left_out())
    return 1 if summary["failed"] else 0


def _print_summary(summary: dict[str, Any], path: Path, left_out: str) -> None:
    lines = [f"{clip}: {reason}" for clip, reason in summary["failures"].items()]
    lines += [
        f"{name:24} {column['mean'] if column['count'] else float('nan'):9.4f}   mean of {column['count']} clips"
        for name, column in summary["columns"].items()
    ]
    lines += [f"signature: {summary['signature']}", f"written: {path} and {path.with_suffix('.json')}"]
    lines += [left_out] if left_out else []
    lines += [MEANINGLESS] if summary["seeded"] else []
    lines.append(f"{summary['failed']} of {summary['clips']} clips failed, in whole or in part.")
    sys.stdout.write("\n".join(lines) + "\n")
