"""Clips in a bucket: an S3-compatible server on loopback, which these tests start, asked by fsspec's own s3fs."""

import csv
import os
from pathlib import Path

import pytest

for package in ("av", "ftfy", "flask_cors", "moto", "pyarrow", "s3fs"):
    pytest.importorskip(package)

import boto3  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import s3fs  # noqa: E402
from commands import run  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402
from test_tars import TINY, values, write_tar  # noqa: E402

CLIPS = Path(__file__).parents[1] / "docs/clips"
pytestmark = [
    pytest.mark.usefixtures("in_folder", "one_thread"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A bucket with the clips of the documentation, their manifest as CSV and Parquet, and two tars of them."""
    folder = tmp_path_factory.mktemp("clips")
    with (CLIPS / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    pq.write_table(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    samples = {r["id"]: {"mp4": (CLIPS / r["video"]).read_bytes(), "txt": r["text"].encode()} for r in rows}
    for number, own in enumerate((list(samples)[:2], list(samples)[2:])):
        write_tar(folder / f"shard-{number:02}.tar", {name: samples[name] for name in own})
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    given = {
        "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
    }
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patched.delenv(name)
        for name, value in given.items():
            patched.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        client = boto3.client("s3")
        client.create_bucket(Bucket="clips")
        for path in [*folder.iterdir(), *CLIPS.iterdir()]:
            client.upload_file(str(path), "clips", f"set/{path.name}")
        client.close()
        yield "s3://clips/set"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The rows of the clips as files."""
    from torchmetrics_majorscore.cli.main import main

    output = tmp_path_factory.mktemp("files") / "s.csv"
    assert main(["score", str(CLIPS / "manifest.csv"), *TINY, "-o", str(output)]) == 0
    return values(output)


@pytest.mark.parametrize("manifest", ["manifest.csv", "manifest.parquet", "shard-{00..01}.tar"])
def test_manifests_and_tars_of_a_bucket_give_the_rows_of_files(manifest, bucket, files, capsys):
    assert run(capsys, "score", f"{bucket}/{manifest}", *TINY, "-o", "s.csv")[0] == 0
    assert values("s.csv") == files


def test_clips_of_a_bucket_in_a_manifest_of_this_machine(bucket, files, capsys):
    Path("m.csv").write_text(f"id,video,text\nball,{bucket}/ball.mp4,a ball bouncing\ngone,{bucket}/gone.mp4,a bell\n")
    assert run(capsys, "score", "m.csv", *TINY, "-o", "s.csv")[0] == 1
    ball, gone = values("s.csv")
    assert ball == files[0]
    assert gone["error"] == f"Expected a file at {bucket}/gone.mp4, got none"


@pytest.mark.parametrize(
    ("manifest", "output", "message"),
    [
        ("s3://clips/set/gone.csv", "s.csv", "Expected a file at s3://clips/set/gone.csv, got none"),
        ("s3://none/set/manifest.csv", "s.csv", "Expected a file at s3://none/set/manifest.csv, got none"),
        ("s3://clips/set/manifest.csv", "s3://clips/s.csv", "got the address s3://clips/s.csv"),
        ("s3://clips/set/manifest.csv", "s3://clips/s.parquet", "got the address s3://clips/s.parquet"),
    ],
)
def test_what_is_not_there_or_cannot_be_written_is_one_line(manifest, output, message, bucket, capsys):
    code, printed, error = run(capsys, "score", manifest, *TINY, "-o", output)
    assert (code, printed, message in error.splitlines()[-1]) == (2, "", True), error
    assert not Path("s3:").exists()
