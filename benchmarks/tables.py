"""What commands on finished tables cost: CPU, time and peak memory of each, as a process of its own.

    uv run benchmarks/tables.py --rows 200000 [--form parquet] [--commands compare filter] [--folder FOLDER]

The tables are random: two models of the same clips, of which a few in a thousand failed in each, with ids like those of
VGGSound, eight candidates to a prompt, and 300 classes. Embeddings are unit vectors; one row in a hundred is planted
again, near to an earlier one. Peak memory is the whole process's, interpreter and libraries included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from machine import machine

from torchmetrics_majorscore.tables.parquet import KEY

SIGNATURE = "majorscore|enc:planted@00000000|pairs:text|fps:1|pool:after|v:0"
VALUES = (
    *("similarity_video_text", "similarity_video_audio", "similarity_text_audio"),
    *("majorscore_sum", "majorscore_product", "majorscore_average", "fairscore"),
)
FAILED = 0.003
CLASSES = 300
CANDIDATES = 8
SHARDS = 16
WIDTH = 512
PART = 500_000  # rows that are made at a time


def names(start: int, stop: int) -> list[str]:
    """Give ids of 14 characters behind their prompt, in no order."""
    return [f"p{k // CANDIDATES:07}/{k * 2654435761 % 2**32:08x}_{k % 1000:06}" for k in range(start, stop)]


def part(seed: int, start: int, stop: int) -> pa.Table:
    """Make rows of a model: similarities, and the values that follow from them."""
    draw = np.random.default_rng([seed, start])
    similarities = draw.normal(0.3 + 0.01 * seed, 0.1, (3, stop - start))
    own = similarities[[0, 2]]
    columns = [*similarities, own.sum(axis=0), own.prod(axis=0), own.mean(axis=0), np.abs(own[0] - own[1])]
    failed = draw.random(stop - start) < FAILED
    table = {"id": pa.array(names(start, stop))}
    table |= {name: pa.array(x.astype(np.float32), mask=failed) for name, x in zip(VALUES, columns, strict=True)}
    remarks = np.where(draw.random(stop - start) < FAILED, "audio is silent", "")
    table |= {
        "remarks": pa.array(remarks.tolist()),
        "error": pa.array(np.where(failed, "no audio stream", "").tolist()),
    }
    return pa.table(table | {"source": pa.array([f"{k:016x}" for k in range(start, stop)])})


def parts(seed: int, rows: int) -> "list[tuple[int, int, int]]":
    return [(seed, start, min(start + PART, rows)) for start in range(0, rows, PART)]


class Csv:
    """A CSV file as ``majorscore score`` writes it, that grows."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")
        self.header = True

    def write(self, table: pa.Table) -> None:
        # Missing values are empty cells, and so are empty texts.
        words = {name: pc.if_else(pc.equal(table[name], ""), None, table[name]) for name in ("remarks", "error")}
        for name, column in words.items():
            table = table.set_column(table.column_names.index(name), name, column)
        options = pyarrow.csv.WriteOptions(include_header=self.header, quoting_style="none", quoting_header="none")
        pyarrow.csv.write_csv(table, self.file, options)
        self.header = False

    def close(self) -> None:
        self.file.close()


def write_scores(path: Path, seed: int, rows: int) -> None:
    if path.suffix == ".csv":
        file = Csv(path)
        for piece in parts(seed, rows):
            file.write(part(*piece))
        file.close()
        path.with_suffix(".json").write_text(json.dumps({"signature": SIGNATURE}))
        return
    schema = part(seed, 0, 1).schema.with_metadata({KEY: json.dumps({"signature": SIGNATURE, "clips": rows}).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for piece in parts(seed, rows):
            writer.write_table(part(*piece).cast(schema))


def write_manifest(path: Path, rows: int) -> None:
    file = path.open("wb")
    for _, start, stop in parts(0, rows):
        ids = pa.array(names(start, stop))
        table = {
            "id": ids,
            "video": pc.binary_join_element_wise(pc.utf8_slice_codeunits(ids, 9), "mp4", "."),
            "label": pa.array([f"class {k % CLASSES}" for k in range(start, stop)]),
        }
        options = pyarrow.csv.WriteOptions(include_header=not start, quoting_style="none", quoting_header="none")
        pyarrow.csv.write_csv(pa.table(table), file, options)
    file.close()


def write_shards(folder: Path, rows: int) -> None:
    """Write the tables and marks of shards, whose clips were dealt out one by one."""
    folder.mkdir()
    paths = [folder / f"{k:05}-of-{SHARDS:05}.csv" for k in range(SHARDS)]
    files = [Csv(path) for path in paths]
    for piece in parts(1, rows):
        table = part(*piece)
        for k, file in enumerate(files):
            file.write(table.take(pa.array(np.arange((k - piece[1]) % SHARDS, table.num_rows, SHARDS))))
    for k, (path, file) in enumerate(zip(paths, files, strict=True)):
        file.close()
        mark = {"signature": SIGNATURE, "shard": f"{k}/{SHARDS}", "manifest": "0", "of": rows, "changed": 0}
        mark["clips"] = len(range(k, rows, SHARDS))
        path.with_suffix(".json").write_text(json.dumps(mark))


def write_embeddings(path: Path, rows: int) -> None:
    """Write a manifest of clips, whose files are not there, and their embeddings, so that none has to be made."""
    from torchmetrics_majorscore.media import read_manifest
    from torchmetrics_majorscore.scoring.encode import ClipEncoder, EncodeOptions
    from torchmetrics_majorscore.scoring.read import source_of
    from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings
    from torchmetrics_majorscore.tables.source import digest

    draw = np.random.default_rng(7)
    vectors = {name: draw.standard_normal((rows, WIDTH), dtype=np.float32) for name in ("video", "text", "audio")}
    again = draw.choice(np.arange(1, rows), rows // 100, replace=False)
    of = draw.integers(0, again)
    for name in ("video", "audio"):
        near = draw.standard_normal((len(again), WIDTH), dtype=np.float32) * draw.uniform(0.05, 0.5, (len(again), 1))
        vectors[name][again] = vectors[name][of] + near.astype(np.float32)
    for one in vectors.values():
        one /= np.linalg.norm(one, axis=1, keepdims=True)
    clips = path.with_name("clips.csv")
    lines = (f"clip{k:08},{k:08}.mp4,caption {k},class {k % CLASSES}" for k in range(rows))
    clips.write_text("\n".join(["id,video,text,label", *lines, ""]), encoding="utf-8")
    sources = {entry.id: digest(source_of(entry)) for entry in read_manifest(clips)}
    signature = ClipEncoder(EncodeOptions(encoder="c-mcr-tiny", baseline=True)).signature
    ClipEmbeddings(list(sources), vectors, signature, sources=sources).save(path)


def commands(folder: Path, form: str) -> dict[str, list[str]]:
    one, two = f"{folder}/one.{form}", f"{folder}/two.{form}"
    out = f"{folder}/out"
    return {
        "compare": ["compare", one, two],
        "filter": ["filter", f"{folder}/manifest.csv", one, "--quantile", "0.2", "-o", out, "--overwrite"],
        "filter by class": [
            *("filter", f"{folder}/manifest.csv", one, "--quantile", "0.2", "--by-class", "label"),
            *("-o", out, "--overwrite"),
        ],
        "rank": ["rank", one, "--best", "1", "--format", "csv"],
        "report": ["report", one, "-o", f"{out}/one.html"],
        "report of two": ["report", one, two, "-o", f"{out}/two.html"],
        "report, mispaired": ["report", two, "--mispaired", one, "-o", f"{out}/mispaired.html"],
        "merge": ["merge", f"{folder}/shards", "-o", f"{out}/merged.{form}"],
        "benchmark": [
            *("benchmark", f"{folder}/clips.csv", "--encoder", "c-mcr-tiny", "--device", "cpu"),
            *("-o", f"{folder}/embeddings.safetensors"),
        ],
        "duplicates": ["duplicates", f"{folder}/embeddings.safetensors", "--threshold", "0.8", "--format", "csv"],
    }


def needs(folder: Path, form: str, name: str, rows: int) -> None:
    """Write what a command reads, unless it is there."""
    wanted = {f"{folder}/{n}.{form}": lambda path, n=n: write_scores(path, ("one", "two").index(n) + 1, rows)
              for n in ("one", "two")}  # fmt: skip
    wanted[f"{folder}/manifest.csv"] = lambda path: write_manifest(path, rows)
    wanted[f"{folder}/shards"] = lambda path: write_shards(path, rows)
    wanted[f"{folder}/embeddings.safetensors"] = lambda path: write_embeddings(path, rows)
    for argument in commands(folder, form)[name]:
        if argument in wanted and not Path(argument).exists():
            wanted[argument](Path(argument))


LAUNCHER = """
import json, os, subprocess, sys, tempfile, time
begun = time.perf_counter()
with tempfile.TemporaryFile() as said:
    process = subprocess.Popen(sys.argv[1:], stdout=said, stderr=subprocess.STDOUT)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    said.seek(0)
    code = os.waitstatus_to_exitcode(status)
    said = said.read().decode()[-2000:]
print(json.dumps([code, said, used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024]))
"""
"""Measures a command from a small process: one that is started has the peak memory of its parent for a least one."""


def measure(arguments: list[str]) -> tuple[float, float, float]:
    """Give CPU seconds, seconds and MB of a process."""
    command = [sys.executable, "-m", "torchmetrics_majorscore.cli", *arguments]
    found = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *command], stdout=subprocess.PIPE, check=True)
    code, said, cpu, wall, peak = json.loads(found.stdout)
    if code > 1:  # 1: some clips have no value
        raise RuntimeError(f"{' '.join(arguments)}: {said}")
    return cpu, wall, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--form", choices=("csv", "parquet"), default="csv")
    parser.add_argument("--commands", nargs="+", help="some of them only")
    parser.add_argument("--folder", type=Path, help="where tables are kept and found again (default: nowhere)")
    options = parser.parse_args()
    print(machine(), end="\n\n")
    print(f"| {options.rows} rows, {options.form} | CPU s | s | peak MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as passing:
        folder = options.folder or Path(passing)
        (folder / "out").mkdir(parents=True, exist_ok=True)
        calls = commands(folder, options.form)
        for name in options.commands or calls:
            needs(folder, options.form, name, options.rows)
            cpu, wall, peak = measure(calls[name])
            print(f"| {name} | {cpu:.2f} | {wall:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
