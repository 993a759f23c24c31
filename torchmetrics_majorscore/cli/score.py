"""``majorscore score`` and ``merge``: the clips of a manifest to a table, in one process or in many."""

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.cli.ending import DONE, NOTHING, PARTLY
from torchmetrics_majorscore.cli.files import check_file, check_folder, naming
from torchmetrics_majorscore.cli.options import ENCODING, SAID, add_encoding, add_pairs, clips, encoding
from torchmetrics_majorscore.cli.printing import Output
from torchmetrics_majorscore.extras import needs_extras
from torchmetrics_majorscore.media.tars import find_tars
from torchmetrics_majorscore.media.url import Url, to_place
from torchmetrics_majorscore.tables.parquet import convert_to_parquet, is_parquet
from torchmetrics_majorscore.tables.shard import Shard

if TYPE_CHECKING:
    from torchmetrics_majorscore.scoring.score import Into, ScoreOptions


def add_commands(commands: Any) -> None:
    """Register the command."""
    score = commands.add_parser("score", parents=[SAID], help="score the clips of a manifest")
    manifest = "CSV, TSV, JSONL or Parquet with id, video, audio, text; or a folder; or WebDataset tars, also like "
    manifest += "'shard-{00000..00063}.tar'; a file, or an address like s3://"
    score.add_argument("manifest", nargs="+", help=manifest)
    score.add_argument("--folder", type=to_place, help="folder of the clips (default: the manifest's own)")
    table = "per-clip table, .csv with a .json summary beside it, or .parquet; one that exists is continued "
    score.add_argument(
        "-o", "--output", type=Path, help=f"{table}(default: scores.csv; of shards their folder, scores)"
    )
    shard = "score part I, counted from 0, of N, to a table in the folder -o; under torchrun that of the rank"
    score.add_argument("--shard", metavar="I/N", help=shard)
    engine = "score with all GPUs, else all cores, of a Ray cluster"
    score.add_argument("--engine", choices=("ray",), help=engine)
    where = "of the Ray cluster (default: that of RAY_ADDRESS, else one on this machine)"
    score.add_argument("--address", help=where)
    add_pairs(score)
    score.add_argument("--baseline", action="store_true", help="add clipscore and clapscore")
    score.add_argument("--retry-failed", action="store_true", help="score the clips again whose row has an error")
    add_encoding(score)
    score.set_defaults(run=_score, again="{output} keeps the finished rows; the same command continues there.")
    merge = commands.add_parser("merge", parents=[SAID], help="join the tables of all shards of a manifest")
    merge.add_argument("folder", type=Path, help="folder of majorscore score --shard")
    merge.add_argument("-o", "--output", type=Path, help="table to write, .csv or .parquet (default: FOLDER.csv)")
    merge.set_defaults(run=_merge)


def _score(options: argparse.Namespace, out: Output) -> int:
    shard = _shard(options)
    options.output = options.output or Path("scores" if shard else "scores.csv")
    needed = {"pyarrow": "scale"} if is_parquet(options.output) else {}
    needs_extras(ENCODING | needed | ({"ray": "ray"} if options.engine else {}))
    if options.engine and shard:
        raise ValueError(f"Expected --engine or a shard, got both: {options.engine} deals the clips out itself.")
    if options.address and not options.engine:
        raise ValueError(f"Expected --engine ray beside --address, got --address {options.address} alone.")
    if shard:
        if options.output.suffix.lower() == ".csv":
            raise ValueError(f"Expected a folder for the tables of shards, got -o {options.output}.")
        check_folder(options.output)
    else:
        check_file(options.output)

    tars = [tar for name in options.manifest for tar in find_tars(name)]
    if len(options.manifest) > 1 and len(tars) < len(options.manifest):
        raise ValueError(f"Expected one manifest, or tars alone, got {', '.join(options.manifest)}.")
    options.manifest = options.manifest[0]
    path = shard.table(options.output) if shard else growing(options.output)
    with naming(path):
        summary = _score_tars(tars, shard, options, out) if tars else _score_manifest(path, shard, options, out)
    if shard or path == options.output:
        return _print_summary(summary, path, out)
    with naming(options.output):
        convert_to_parquet(path, options.output)
    return _print_summary(summary, options.output, out)


def _score_manifest(path: Path, shard: Shard | None, options: argparse.Namespace, out: Output) -> dict[str, Any]:
    entries = clips(options, out)
    how = _how(options)
    from torchmetrics_majorscore.scoring.score import score_clips
    from torchmetrics_majorscore.scoring.shards import score_shard

    with out.progress.bar(len(shard.of(entries) if shard else entries), "clip") as advance:
        if shard:
            return score_shard(entries, options.output, shard, how, advance)
        return score_clips(entries, path, how, advance, into=_into(options))


def _score_tars(
    tars: Sequence[Path | Url], shard: Shard | None, options: argparse.Namespace, out: Output
) -> dict[str, Any]:
    how = _how(options)
    from torchmetrics_majorscore.scoring.tars import score_tars

    with out.progress.bar(None, "clip") as advance:
        if options.engine:
            from torchmetrics_majorscore.scoring.ray_engine import score_tars_by_ray

            path = growing(options.output)
            return score_tars_by_ray(tars, path, how, advance, options.audio_track, options.address)
        place = options.output if shard else growing(options.output)
        return score_tars(tars, place, how, advance, shard, options.audio_track)


def _into(options: argparse.Namespace) -> "Into | None":
    """Give what scores the clips: None for this process."""
    if not options.engine:
        return None
    from torchmetrics_majorscore.scoring.ray_engine import score_into_by_ray

    return partial(score_into_by_ray, address=options.address)


def _how(options: argparse.Namespace) -> "ScoreOptions":
    encoded = encoding(options, options.baseline)
    from torchmetrics_majorscore.scoring.score import ScoreOptions

    return ScoreOptions(pairs=options.pairs, retry_failed=options.retry_failed, **encoded)


def growing(output: Path) -> Path:
    """Give the table that grows row by row: of Parquet, which cannot, a CSV beside it, from which it is written."""
    return output.with_name(f".{output.name}.csv") if is_parquet(output) else output


def _shard(options: argparse.Namespace) -> Shard | None:
    """Give the part that this process scores; under torchrun that is its rank, and its GPU the one of the rank."""
    rank = Shard.of_rank(os.environ)
    if rank is None or options.shard:
        if rank is not None:
            raise ValueError(f"Expected no --shard under torchrun, where the rank is the shard, got {options.shard}.")
        return Shard.parse(options.shard) if options.shard else None
    if options.device in (None, "cuda"):
        import torch

        options.device = f"cuda:{os.environ['LOCAL_RANK']}" if torch.cuda.is_available() else options.device
    return rank


def _merge(options: argparse.Namespace, out: Output) -> int:
    from torchmetrics_majorscore.tables.merge import merge_shards

    folder = options.folder.resolve() if options.folder.name in ("", "..") else options.folder
    output = options.output or folder.with_name(f"{folder.name}.csv")
    check_file(output)
    with naming(output):
        summary = merge_shards(options.folder, output)
    return _print_summary(summary, output, out)


def _print_summary(summary: dict[str, Any], path: Path, out: Output) -> int:
    written = [path] if is_parquet(path) else [path, path.with_suffix(".json")]
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
    found = not summary["clips"] or any(column["count"] for column in summary["columns"].values())
    return (PARTLY if summary["failed"] else DONE) if found else NOTHING
