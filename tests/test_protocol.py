"""Clip embeddings in a file, and the consistency protocol on them: nothing is encoded twice, nothing is mixed."""

import json
import math
import shutil
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

if not all(find_spec(package) for package in ("ftfy", "av", "scipy", "safetensors")):
    pytest.skip("needs the extras cmcr, media and evaluation", allow_module_level=True)

from given import embed

from torchmetrics_majorscore import CLIPCLAPScore, MAJORScore
from torchmetrics_majorscore.cli import main as cli
from torchmetrics_majorscore.cli.benchmark import protocol_tables
from torchmetrics_majorscore.encoders import SharedEncoder
from torchmetrics_majorscore.media import ClipStream, read_clip, read_manifest
from torchmetrics_majorscore.scoring.embed import embed_clips
from torchmetrics_majorscore.scoring.encode import ClipEncoder
from torchmetrics_majorscore.scoring.protocol import Protocol, headline, run_protocol, write_sets
from torchmetrics_majorscore.scoring.score import ScoreOptions
from torchmetrics_majorscore.tables.embeddings import ClipEmbeddings
from torchmetrics_majorscore.tables.read import read_scores
from torchmetrics_majorscore.tables.render import render_table
from torchmetrics_majorscore.training.world.view import write_world

TINY = ScoreOptions(encoder="c-mcr-tiny", baseline=True, batch_size=2)


def made(count: int = 12) -> ClipEmbeddings:
    """Make embeddings whose own captions fit better than others."""
    joint, clip, clap = (embed(count, seed=seed) for seed in range(3))
    vectors = {**joint, "clip_video": clip["video"], "clip_text": clip["text"]}
    vectors |= {"clap_audio": clap["audio"], "clap_text": clap["text"]}
    arrays = {name: vector.numpy() for name, vector in vectors.items()}
    return ClipEmbeddings([f"clip {n}" for n in range(count)], arrays, "enc:given")


def test_scores_are_those_of_the_metrics():
    known, labels = made(), [f"class {n % 4}" for n in range(12)]
    found = run_protocol(known, known.ids, labels, Protocol(seed=3))
    assert found.keys() == {"MAJORScore", "CLIPCLAP"}
    for combine in ("sum", "product", "average"):
        metric, baseline = MAJORScore(combine, None), CLIPCLAPScore(combine, None, None)
        vectors = {name: torch.from_numpy(x) for name, x in known.vectors.items()}
        metric.update(embeddings={name: vectors[name] for name in ("video", "text", "audio")})
        baseline.update(embeddings={name: x for name, x in vectors.items() if "_" in name})
        for name, one in (("MAJORScore", metric), ("CLIPCLAP", baseline)):
            value = one.compute().item()
            assert found[name].means["consistent", combine].value == pytest.approx(value, abs=1e-7)
    assert run_protocol(known, known.ids, labels, Protocol(seed=3)) == found
    assert run_protocol(known, known.ids, labels, Protocol(seed=4)) != found


def test_own_captions_are_told_from_those_of_other_classes():
    known, labels = made(), [f"class {n % 4}" for n in range(12)]
    known.vectors["text"] = known.vectors["video"] + known.vectors["audio"]  # a perfect caption
    found = run_protocol(known, known.ids, labels)["MAJORScore"]
    assert found.separation["average"]["win_rate"].value == 1
    assert found.means["consistent", "average"].low > found.means["mispaired", "average"].high
    for space, part in (("clip", "video"), ("clap", "audio")):
        known.vectors[f"{space}_{part}"], known.vectors[f"{space}_text"] = known.vectors[part], known.vectors["text"]
    found = run_protocol(known, known.ids, labels)
    same = {key: 0.0 for key, mean in found["CLIPCLAP"].means.items() if mean.value > 0}
    assert same
    assert {key: value for key, value in headline(found).items() if not math.isnan(value)} == same


def test_clips_without_a_value_are_counted_and_left_out():
    known, labels = made(), [f"class {n % 4}" for n in range(12)]
    known.vectors["audio"][5] = math.nan
    mean = run_protocol(known, known.ids, labels)["MAJORScore"].means["consistent", "sum"]
    assert (mean.n, mean.dropped) == (11, 1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, 8, 0)
    return folder


def test_clips_are_encoded_once(world, tmp_path, monkeypatch, capsys):
    path, encoded = tmp_path / "made" / "e.safetensors", []
    encode = ClipEncoder.encode
    monkeypatch.setattr(
        ClipEncoder, "encode", lambda own, clips: encoded.extend(c.entry.id for c in clips) or encode(own, clips)
    )
    entries = read_manifest(world / "manifest.csv")
    assert len({entry.label for entry in entries}) > 1
    embed_clips(entries[:3], path, TINY)
    seen = []
    known, changed = embed_clips(entries, path, TINY, lambda: seen.append(1))
    assert encoded == known.ids == [entry.id for entry in entries]
    assert changed == []
    assert len(seen) == 8
    arguments = ["benchmark", str(world / "manifest.csv"), "--encoder", "c-mcr-tiny", "-o", str(path)]
    assert cli.main([*arguments, "--tables", str(tmp_path / "sets")]) == 0
    assert {p.name for p in (tmp_path / "sets").iterdir()} == {
        f"{part}.{ending}" for part in ("consistent", "mispaired") for ending in ("csv", "json")
    }
    assert len(encoded) == 8
    text = capsys.readouterr().out
    assert "8 clips, each with its own caption" in text
    assert "| CLIPCLAP product |" in text
    assert "|seed:0\n" in text
    assert "written: " in text
    assert cli.main([*arguments, "--pool", "before_head"]) == 2
    assert "was written with signature" in capsys.readouterr().err


def test_values_are_those_of_score(world, tmp_path):
    from torchmetrics_majorscore.scoring.score import score_clips

    entries = read_manifest(world / "manifest.csv")
    summary = score_clips(entries, tmp_path / "scores.csv", TINY)
    known, _ = embed_clips(entries, tmp_path / "e.safetensors", TINY)
    found = run_protocol(known, known.ids, [str(entry.label) for entry in entries])
    mean = found["MAJORScore"].means["consistent", "average"].value
    assert mean == pytest.approx(summary["columns"]["majorscore_average"]["mean"], abs=1e-7)
    labels = [str(entry.label) for entry in entries]
    paths = write_sets(known, known.ids, labels, tmp_path / "sets", Protocol(seed=1))
    values = [read_scores(path)[0] for path in (paths["consistent"], tmp_path / "scores.csv")]
    assert values[0].equals(values[1])
    recorded = [json.loads(path.with_suffix(".json").read_text()) for path in paths.values()]
    assert [one["signature"] for one in recorded] == [summary["signature"]] * 2
    assert [one["captions"] for one in recorded] == ["consistent, seed 1", "mispaired, seed 1"]
    found = run_protocol(known, known.ids, labels, Protocol(seed=1))
    for part, one in zip(paths, recorded, strict=True):
        for column, combine in (("majorscore_average", "average"), ("majorscore_product", "product")):
            expected = found["MAJORScore"].means[part, combine].value
            assert one["columns"][column]["mean"] == pytest.approx(expected, abs=1e-7)
    again = write_sets(known, known.ids[::-1], labels[::-1], tmp_path / "sets", Protocol(seed=1))  # replaces
    assert again["consistent"].read_text().splitlines()[1].startswith(known.ids[-1])


def test_a_clip_that_cannot_be_read_has_no_value_but_a_reason(world, tmp_path, capsys):
    shutil.copytree(world, tmp_path / "w")
    entries = read_manifest(tmp_path / "w" / "manifest.csv")
    entries[0].video.write_bytes(b"no video")
    known, _ = embed_clips(entries, tmp_path / "e.safetensors", TINY)
    again = ClipEmbeddings.load(tmp_path / "e.safetensors")
    assert again.ids == known.ids
    for name, vector in known.vectors.items():
        assert np.isnan(vector).any(axis=-1).tolist() == [not name.endswith("text"), *[False] * 7]
        assert np.array_equal(again.vectors[name], vector, equal_nan=True)
    assert again.errors.keys() == {entries[0].id}
    arguments = ["benchmark", str(tmp_path / "w" / "manifest.csv"), "--encoder", "c-mcr-tiny"]
    assert cli.main([*arguments, "-o", str(tmp_path / "e.safetensors")]) == 1
    output = capsys.readouterr().out
    assert f"{entries[0].id}: {again.errors[entries[0].id]}" in output
    assert "7 clips, each with its own caption and with one of another class; 1 without a value." in output
    assert output.index("| MAJORScore sum |") < output.index("1 of 8 clips failed, in whole or in part.")


def test_without_a_readable_clip_there_is_one_line_with_reasons(tmp_path, capsys):
    rows = "".join(f"{name},{name}.mp4,a {name} bell\n" for name in ("miss", "gone", "lost", "away"))
    (tmp_path / "m.csv").write_text(f"id,video,text\n{rows}")
    arguments = ["benchmark", str(tmp_path / "m.csv"), "--encoder", "c-mcr-tiny"]
    assert cli.main([*arguments, "-o", str(tmp_path / "e.safetensors")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("majorscore: Expected clips with a value, got none of 4; miss: ")
    assert error.endswith("; and 1 more.")
    assert all(f"{name}.mp4" in error for name in ("miss", "gone", "lost"))


def test_a_clip_that_has_changed_is_encoded_again(world, tmp_path, capsys):
    shutil.copytree(world, tmp_path / "w")
    manifest, path = tmp_path / "w" / "manifest.csv", tmp_path / "e.safetensors"
    entries = read_manifest(manifest)
    before, _ = embed_clips(entries, path, TINY)
    shutil.copyfile(entries[3].video, entries[2].video)
    changed_caption = replace(entries[5], text=f"{entries[5].text} again")
    now = [*entries[:5], changed_caption, *entries[6:]]
    known, changed = embed_clips(now, path, TINY)
    fresh, _ = embed_clips(now, tmp_path / "fresh.safetensors", TINY)
    assert changed == [entries[2].id, entries[5].id]
    assert known.ids == before.ids == fresh.ids
    for name, vector in known.vectors.items():
        assert np.array_equal(vector, fresh.vectors[name])
        moved = (vector != before.vectors[name]).any(axis=1).nonzero()[0].tolist()
        assert moved == ([5] if name.endswith("text") else [2])
    manifest.write_text(manifest.read_text().replace(entries[7].text, "a changed caption"))
    arguments = ["benchmark", str(manifest), "--encoder", "c-mcr-tiny", "-o", str(path)]
    assert cli.main(arguments) == 0
    assert f"have changed and were encoded again, e.g. '{entries[5].id}'." in capsys.readouterr().out


def test_a_true_label_of_a_clip_is_no_mispairing(tmp_path):
    known, labels = made(12), [f"class {n % 4}" for n in range(12)]
    known.vectors["text"][:] = np.eye(4, 8, dtype=np.float32)[np.arange(12) % 4]  # so that the caption is known again
    known.vectors["video"] = known.vectors["text"].copy()
    true = {"clip 0": {"class 0", "class 1", "class 2"}}
    for seed in range(20):
        paths = write_sets(known, known.ids, labels, tmp_path, Protocol(seed=seed, true=true))
        frame = read_scores(paths["mispaired"])[0]
        assert frame["similarity_video_text"].tolist() == [0.0] * 12  # each is of another class
    knows = Protocol(modalities=("video", "text"), true=true)
    known.vectors["video"][0] = np.eye(8, dtype=np.float32)[3]
    assert write_sets(known, known.ids, labels, tmp_path / "two", knows)
    frame = read_scores(tmp_path / "two" / "mispaired.csv")[0]
    assert frame["similarity_video_text"].iloc[0] == 1.0  # class 3 is the only one that is not true of it
    assert "fairscore" not in frame
    assert run_protocol(known, known.ids, labels, knows)["MAJORScore"].balance == {}


def test_labels_of_the_command(world, tmp_path, capsys):
    entries, path = read_manifest(world / "manifest.csv"), tmp_path / "e.safetensors"
    arguments = ["benchmark", str(world / "manifest.csv"), "--encoder", "c-mcr-tiny", "-o", str(path)]
    lines = [f"{entries[0].id},{entry.label},AV" for entry in entries[:2]]
    (tmp_path / "labels.csv").write_text("\n".join(["video_id,label,modality", *lines]))
    assert cli.main([*arguments, "--labels", str(tmp_path / "labels.csv")]) == 0
    assert "1 clips have true labels, 1 of them several: none is a mispairing." in capsys.readouterr().out
    (tmp_path / "labels.csv").write_text("video_id,label,modality\nother,a,A\n")
    assert cli.main([*arguments, "--labels", str(tmp_path / "labels.csv")]) == 2
    assert "Expected labels of these clips in" in capsys.readouterr().err


def test_a_share_of_nearly_nothing_is_no_percentage():
    known, labels = made(40), [f"class {n % 4}" for n in range(40)]
    for name in ("clip_text", "clap_text"):  # the baseline's cosines are about 0
        known.vectors[name] -= known.vectors[name].mean(axis=1, keepdims=True)
    found = run_protocol(known, known.ids, labels)
    theirs = found["CLIPCLAP"].means
    assert any(mean.value > 0 and mean.low < 0 for mean in theirs.values())
    for key, share in headline(found).items():
        assert math.isnan(share) == (theirs[key].low <= 0)
    separation, percent, balance = protocol_tables(found).values()
    assert list(percent.columns) == ["consistent", "mispaired"]
    one = run_protocol(known, known.ids[:4], labels[:4])  # d' of a resample without variance has no value
    assert "nan" not in "".join(render_table(frame) for frame in (separation, balance, *protocol_tables(one).values()))


def test_a_refused_batch_costs_only_the_sound_that_was_refused(world, tmp_path, monkeypatch):
    entries = read_manifest(world / "manifest.csv")[:2]
    whole, _ = embed_clips(entries, tmp_path / "whole.safetensors", TINY)
    encode, sound, long = SharedEncoder.encode, ClipStream.sound, read_clip(entries[0].video).waveform.shape[1]

    def refuse(shared, modality, batch, *rest):
        if modality == "audio" and any(len(sound) == long for sound in batch):
            raise RuntimeError("Expected another sound.")
        return encode(shared, modality, batch, *rest)

    def shorten(clip):
        blocks = list(sound(clip))
        cut = 0 if clip.video == entries[0].video else 1
        yield from [*blocks[:-1], (blocks[-1][0][:, : blocks[-1][0].shape[1] - cut], blocks[-1][1])]

    monkeypatch.setattr(SharedEncoder, "encode", refuse)
    monkeypatch.setattr(ClipStream, "sound", shorten)
    known, _ = embed_clips(entries, tmp_path / "e.safetensors", TINY)
    assert known.errors == {entries[0].id: "audio: Expected another sound."}
    for name, vector in known.vectors.items():
        assert np.isnan(vector[0]).all() == name.endswith("audio")
        if not name.endswith("audio"):
            assert np.array_equal(vector, whole.vectors[name])
