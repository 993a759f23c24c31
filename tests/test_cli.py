"""The command line on real files, with the full-size network and seeded weights."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from torchmetrics_majorscore import MAJORScore, load_encoder
from torchmetrics_majorscore.cli.main import main
from torchmetrics_majorscore.encoders.checkpoints import read_tensors
from torchmetrics_majorscore.media import open_clip, read_clip
from torchmetrics_majorscore.tables.read import MEANINGLESS

CLIPS = Path(__file__).parents[1] / "docs" / "clips"
SHARED = Path(__file__).parents[2] / "shared"
PAIRS = ("similarity_video_text", "similarity_video_audio", "similarity_text_audio")


@pytest.fixture(autouse=True)
def _encoder(seeded):
    """The handle is kept alive, so that all runs of the command in this process share one encoder."""


def score(manifest, output, *options):
    return main(["score", str(manifest), "-o", str(output), "--weights", "seeded", *options])


def table(path):
    with path.open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def write_manifest(folder, *rows):
    path = folder / "manifest.csv"
    path.write_text("\n".join(["id,video,audio,text", *rows]) + "\n")
    return path


def test_every_clip_has_a_row_and_the_columns_follow_the_formulas(tmp_path, capsys):
    assert score(CLIPS / "manifest.csv", tmp_path / "scores.csv") == 0
    rows = table(tmp_path / "scores.csv")
    assert list(rows) == ["ball", "disc", "noise"]
    for row in rows.values():
        vt, va, ta = (float(row[name]) for name in PAIRS)
        assert float(row["majorscore_sum"]) == pytest.approx(vt + ta, abs=1e-6)
        assert float(row["majorscore_product"]) == pytest.approx(vt * ta, abs=1e-6)
        assert float(row["majorscore_average"]) == pytest.approx((vt + ta) / 2, abs=1e-6)
        assert float(row["fairscore"]) == pytest.approx(2 / 3 * (max(vt, va, ta) - min(vt, va, ta)), abs=1e-6)
        assert row["error"] == ""
    output = capsys.readouterr().out.splitlines()
    assert output[-1] == "0 of 3 clips failed, in whole or in part."
    assert MEANINGLESS in output
    summary = json.loads((tmp_path / "scores.json").read_text())
    mean = sum(float(row["fairscore"]) for row in rows.values()) / 3
    assert summary["columns"]["fairscore"] == {"mean": pytest.approx(mean, abs=1e-7), "count": 3}
    assert summary["signature"] in "\n".join(output)
    assert summary["seeded"] is True


def test_files_and_tensors_give_the_same_bits(tmp_path):
    score(CLIPS / "manifest.csv", tmp_path / "scores.csv", "--batch-size", "2")
    metric = MAJORScore("average", load_encoder("c-mcr", weights="seeded"), sample_rate=16_000, fps=1)
    captions = {"ball": "a ball bouncing", "disc": "a tone rising", "noise": "hissing"}
    for name, caption in captions.items():
        clip = read_clip(CLIPS / f"{name}.mp4")
        metric.update(video=clip.frames[None], text=[caption], audio=clip.waveform[None], ids=[name])
    rows = table(tmp_path / "scores.csv")
    given = metric.rows()
    for index, name in enumerate(given["id"]):
        assert [np.float32(rows[name][column]) for column in PAIRS] == [
            np.float32(given[pair][index].item()) for pair in ("video-text", "video-audio", "text-audio")
        ]


def test_a_failed_clip_is_a_row_with_its_reason_and_the_others_are_kept(tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    with av.open(str(tmp_path / "loud.wav"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.full((1, 4800), 12034.0, np.float32), format="flt", layout="mono")
        frame.sample_rate = 48_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with av.open(str(tmp_path / "silent.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width = stream.height = 64
        for level in (10, 200):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    ball = CLIPS / "ball.mp4"
    manifest = write_manifest(
        tmp_path,
        f"-dash,{ball},,a ball bouncing",
        "missing,nowhere.mp4,,a dog",
        "broken,broken.mp4,,a dog",
        "silent,silent.mp4,,a dog",
        f"mute,{ball},,",
        f"loud,{ball},loud.wav,a dog",
        f"sound,,{ball},a ball bouncing",
    )
    assert score(manifest, tmp_path / "scores.csv", "--batch-size", "7") == 1
    rows = table(tmp_path / "scores.csv")
    assert len(rows) == 7
    assert "no file" in rows["missing"]["error"]
    assert "broken.mp4" in rows["broken"]["error"]
    assert rows["silent"]["error"] == "no audio stream"
    assert rows["mute"]["error"] == "no caption"
    assert "waveform peak is 12034.0" in rows["loud"]["error"]
    assert rows["sound"]["error"] == "no picture"
    with_value = {name: {column for column in PAIRS if row[column]} for name, row in rows.items()}
    assert with_value["-dash"] == set(PAIRS)
    assert with_value["silent"] == with_value["loud"] == {"similarity_video_text"}
    assert with_value["mute"] == {"similarity_video_audio"}
    assert with_value["sound"] == {"similarity_text_audio"}
    assert with_value["missing"] == with_value["broken"] == set()
    assert all(row["majorscore_average"] == "" for name, row in rows.items() if name != "-dash")
    assert capsys.readouterr().out.endswith("6 of 7 clips failed, in whole or in part.\n")
    score(CLIPS / "manifest.csv", tmp_path / "alone.csv")
    alone = table(tmp_path / "alone.csv")["ball"]
    assert {k: v for k, v in alone.items() if k != "id"} == {k: v for k, v in rows["-dash"].items() if k != "id"}


def test_a_second_run_continues_and_repairs_a_row_that_was_cut_off(tmp_path, monkeypatch):
    output = tmp_path / "scores.csv"
    score(CLIPS / "manifest.csv", output)
    whole = output.read_bytes()
    lines = whole.splitlines(keepends=True)
    output.write_bytes(b"".join(lines[:2]) + lines[2][:9])
    read = []
    monkeypatch.setattr(
        "torchmetrics_majorscore.scoring.read.open_clip",
        lambda video, *args, **kwargs: (read.append(video.stem), open_clip(video, *args, **kwargs))[1],
    )
    assert score(CLIPS / "manifest.csv", output) == 0
    assert sorted(read) == ["disc", "disc", "noise", "noise"]  # picture and sound
    assert output.read_bytes() == whole


def test_a_table_of_another_signature_or_manifest_is_refused(tmp_path, capsys):
    output = tmp_path / "scores.csv"
    score(CLIPS / "manifest.csv", output)
    before = output.read_bytes()
    assert score(CLIPS / "manifest.csv", output, "--pairs", "all") == 2
    assert "was written with signature" in capsys.readouterr().err
    assert score(write_manifest(tmp_path, f"ball,{CLIPS / 'ball.mp4'},,a ball"), output) == 2
    assert "holds 2 ids that are not to be scored, e.g. 'disc'" in capsys.readouterr().err
    assert output.read_bytes() == before
    assert score(CLIPS / "manifest.csv", CLIPS / "manifest.csv") == 2
    assert "is no table of this command" in capsys.readouterr().err
    assert score(CLIPS / "manifest.csv", tmp_path / "scores.json") == 2
    assert "Expected a table that ends in .csv, got" in capsys.readouterr().err


def test_failed_clips_are_tried_again_on_request(tmp_path):
    manifest = write_manifest(tmp_path, f"ball,{CLIPS / 'ball.mp4'},,a ball", "late,late.mp4,,a disc")
    output = tmp_path / "s.csv"
    assert score(manifest, output) == 1
    (tmp_path / "late.mp4").write_bytes((CLIPS / "disc.mp4").read_bytes())
    assert score(manifest, output) == 0  # a clip whose file has changed is scored again by itself
    assert [row["error"] for row in table(output).values()] == ["", ""]


def test_kill_loses_no_finished_row(tmp_path):
    rows = [f"{index},{CLIPS / 'ball.mp4'},,ball {index}" for index in range(60)]
    manifest, output = write_manifest(tmp_path, *rows), tmp_path / "scores.csv"
    command = ["score", str(manifest), "-o", str(output), "--encoder", "c-mcr-tiny", "--batch-size", "1"]
    code = "import sys; from torchmetrics_majorscore.cli.main import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen([sys.executable, "-c", code, *command], stderr=subprocess.DEVNULL) as process:
        give_up = time.monotonic() + 120
        while not (output.exists() and output.read_bytes().count(b"\n") > 4) and time.monotonic() < give_up:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    killed = output.read_bytes()
    finished = killed[: killed.rfind(b"\n") + 1]
    assert 4 < finished.count(b"\n") < 61
    assert main(command) == 0
    assert output.read_bytes().startswith(finished)
    assert list(table(output)) == [str(index) for index in range(60)]


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real clips of ../shared")
def test_real_clips(tmp_path):
    real = SHARED / "media" / "clips"
    names = ("-Qowmc0P9ic_000034", "avsync_anvil_2", "gen_storm_5")
    manifest = write_manifest(tmp_path, *(f"{name},{real / name}.mp4,,a sound" for name in names))
    assert score(manifest, tmp_path / "scores.csv") == 1
    rows = table(tmp_path / "scores.csv")
    assert [rows[name]["error"] for name in names] == ["", "", "no audio stream"]
    assert rows[names[0]]["majorscore_average"]
    assert score(SHARED / "media" / "faulty", tmp_path / "faulty.csv") == 2  # no clip has a value
    assert "corrupted.mp4" in table(tmp_path / "faulty.csv")["corrupted"]["error"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the C-MCR samples of ../shared")
def test_verify_tells_that_seeded_weights_are_not_the_public_ones(capsys):
    assert main(["weights", "verify", "--weights", "seeded", "--samples", str(SHARED / "cmcr")]) == 1
    output = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in output[:3]] == ["video x text", "audio x text", "audio x video"]
    assert output[-1].startswith("the weights do not give the published table")


def test_convert_writes_the_same_tensors(tmp_path, capsys):
    path = tmp_path / "clap_clip.pt"
    tensors = {"module.a.weight": torch.randn(3, 2), "module.n": torch.tensor(4)}
    torch.save({"state_dict": tensors, "epoch": np.float64(3.0)}, path)
    assert main(["weights", "convert", str(path)]) == 0
    converted = read_tensors(tmp_path / "clap_clip.safetensors")
    assert converted.keys() == {"a.weight", "n"}
    assert all(torch.equal(converted[name], tensors[f"module.{name}"]) for name in converted)
    assert capsys.readouterr().out.strip() == str(tmp_path / "clap_clip.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "nowhere.csv"], "nowhere.csv"),
        (["score", str(CLIPS / "manifest.csv"), "--weights", "nowhere"], "Expected weights to be a folder"),
        (["score", str(CLIPS / "manifest.csv"), "--weights", "seeded", "--pairs", "video-smell"], "video-smell"),
        (["weights", "convert", "nowhere.pt"], "nowhere.pt"),
        (["weights", "convert", str(CLIPS / "ball.mp4")], "checkpoint of tensors"),
        (["score", str(CLIPS / "manifest.csv"), "--weights", "seeded", "--device", "gpu"], "got 'gpu'"),
        (["score", str(CLIPS / "manifest.csv"), "--weights", "seeded", "--batch-size", "0"], "batch_size"),
        (["score", str(CLIPS / "manifest.csv"), "--weights", "seeded", "--baseline"], "majorscore weights seeded"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("majorscore: ")
    assert message in error
