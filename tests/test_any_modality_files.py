"""Any modalities from files to the page: encoders of the test's own, through every command on clips and tables."""

import csv
import json
import math
import tarfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run
from media_files import sine, write, write_sound
from vectors import random

pd = pytest.importorskip("pandas")
Picture = pytest.importorskip("PIL.Image")
from safetensors.numpy import save_file  # noqa: E402
from test_modalities import SIX, Senses  # noqa: E402

from torchmetrics_majorscore import MAJORScore  # noqa: E402
from torchmetrics_majorscore.media import Entry, read_clip, read_manifest  # noqa: E402
from torchmetrics_majorscore.media.features import read_features  # noqa: E402
from torchmetrics_majorscore.report.gallery import make_groups, pick_clips  # noqa: E402
from torchmetrics_majorscore.report.summary import give_pairs  # noqa: E402
from torchmetrics_majorscore.tables.pairs import anchored, find_pairs  # noqa: E402
from torchmetrics_majorscore.tables.read import read_scores  # noqa: E402

MODULE = """
from test_modalities import Senses

class Named(Senses):
    def __init__(self):
        super().__init__({modalities})

class Shapeless(Named):
    shapes = {{}}

def broken():
    raise RuntimeError("no such weights")

ready = Named()
nothing = 3
"""
OTHERS = {"image", "depth", "imu"}
"""Modalities with files of their own."""
IDS = [f"c{number}" for number in range(8)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Eight clips of two classes, each with six modalities."""
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(IDS):
        shade = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        write(folder / f"{name}.mp4", image=shade, count=40, rate=20)
        samples = (3e4 * sine(8000, seconds=2.0) * (number + 1) / 9).astype(np.int16)
        write_sound(folder / f"{name}.wav", "pcm_s16le", samples, 8000)
        Picture.fromarray(shade[:, ::-1] // (number + 1)).save(folder / f"{name}.png")
        np.save(folder / f"{name}.npy", random(1, 5 + number, 4, seed=number).numpy())
        np.save(folder / f"{name}.imu.npy", random(9 - number, 6, seed=number).numpy())
    with (folder / "m.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "video", "image", "text", "audio", "Depth", "imu", "class", "notes"])
        for number, name in enumerate(IDS):
            files = [f"{name}.{suffix}" for suffix in ("mp4", "png", "wav", "npy", "imu.npy")]
            rows.writerow([name, *files[:2], f"{'a' * (number + 1)} caption", *files[2:], f"kind {number % 2}", "x"])
    (folder / "m.csv").write_text((folder / "m.csv").read_text().replace("Depth", "depth"))
    return folder


@pytest.fixture
def module(tmp_path, monkeypatch, in_folder):
    """Write a module with encoders of some modalities, as somebody has it in the folder where they work."""

    def made(modalities):
        name = f"senses_of_{'_'.join(modalities)}"
        (tmp_path / f"{name}.py").write_text(MODULE.format(modalities=tuple(modalities)))
        return name

    return made


def table(path):
    with path.open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def by_metric(clips, modalities):
    """Score the clips as ``update`` does with what a person reads from the files."""
    inputs = {name: [] for name in modalities}
    for name in IDS:
        clip = read_clip(clips / f"{name}.mp4", clips / f"{name}.wav")
        one = {"video": clip.frames, "audio": clip.waveform, "text": table(clips / "m.csv")[name]["text"]}
        one["image"] = torch.from_numpy(np.array(Picture.open(clips / f"{name}.png"))).permute(2, 0, 1)
        one["depth"] = torch.from_numpy(np.load(clips / f"{name}.npy"))
        one["imu"] = torch.from_numpy(np.load(clips / f"{name}.imu.npy"))
        for modality in modalities:
            inputs[modality].append(one[modality])
    metric = MAJORScore(encoder=Senses(modalities), pairs="all", sample_rate=8000, fps=1)
    metric.update(**inputs, ids=list(range(len(IDS))))
    ids, *pairs = metric.rows().items()
    order = np.argsort(ids[1])
    return {pair: values[order].numpy() for pair, values in pairs}


SETS = [SIX, SIX[:5], ("video", "image", "text", "audio"), ("image", "depth", "audio"), ("image", "text")]


@pytest.mark.parametrize("modalities", SETS, ids="-".join)
def test_every_command(modalities, clips, module, capsys, tmp_path):
    """From a manifest to scores, sets, a comparison, a ranking, a refined manifest and a page."""
    mine = f"{module(modalities)}:Named"
    pairs = list(combinations(modalities, 2))
    anchor = "text" if "text" in modalities else "image"
    how = ("--encoder", mine, "--pairs", anchor, "--batch-size", 3)
    assert run(capsys, "score", clips / "m.csv", *how, "-o", "s.csv")[0] == 0
    frame, _ = read_scores("s.csv")
    columns = [f"similarity_{one}_{other}" for one, other in pairs]
    assert list(frame)[: len(pairs)] == columns
    for pair, values in by_metric(clips, modalities).items():
        assert frame[f"similarity_{pair.replace('-', '_')}"].to_numpy() == pytest.approx(values, abs=1e-6)
    chosen = [column for column, pair in zip(columns, pairs, strict=True) if anchor in pair]
    assert frame["majorscore_average"].to_numpy() == pytest.approx(frame[chosen].mean(axis=1).to_numpy(), abs=1e-6)
    if len(pairs) > 1:
        apart = [(frame[one] - frame[other]).abs() for one, other in combinations(columns, 2)]
        assert len(apart) == math.comb(len(pairs), 2)
        assert frame["fairscore"].to_numpy() == pytest.approx(sum(apart).to_numpy() / len(apart), abs=1e-6)
    assert ("fairscore" in frame) == (len(pairs) > 1)

    exchange = ("--exchange", anchor, "-o", "e.safetensors", "--tables", "sets")
    code, output, _ = run(capsys, "benchmark", clips / "m.csv", *how, *exchange)
    assert code == 0
    what = "caption" if anchor == "text" else "image"
    assert f"8 clips, each with its own {what} and with one of another class; 0 without a value." in output
    assert "CLIPCLAP" not in output
    both = {part: read_scores(f"sets/{part}.csv")[0] for part in ("consistent", "mispaired")}
    assert both["consistent"].equals(frame)
    for column, pair in zip(columns, pairs, strict=True):
        assert both["mispaired"][column].equals(frame[column]) == (anchor not in pair)

    code, output, _ = run(capsys, "compare", "sets/consistent.csv", "sets/mispaired.csv", "--json")
    assert code == 0
    means = json.loads(output)["means"]
    assert means[0][columns[0]] == pytest.approx(frame[columns[0]].mean())
    (clips / "prompts.csv").write_text("id,prompt\n" + "".join(f"{name},p{name > 'c3'}\n" for name in IDS))
    code, output, _ = run(capsys, "rank", "s.csv", "--manifest", clips / "prompts.csv", "--column", columns[0])
    assert (code, output.count("| pTrue |")) == (0, 4)
    code, output, _ = run(capsys, "filter", clips / "m.csv", "s.csv", "--quantile", 0.25, "-o", ".")
    assert code == 0
    assert "kept 6" in output
    kept = read_manifest("m.kept.csv", clips, others=[name for name in modalities if name in OTHERS])
    assert len(kept) == 6
    assert set(kept[0].files) == set(modalities) & OTHERS

    page = ("report", "sets/consistent.csv", "--mispaired", "sets/mispaired.csv", "--manifest", clips / "m.csv")
    assert run(capsys, *page, "-o", "page.html")[0] == 0
    text = Path("page.html").read_text(encoding="utf-8")
    for one, other in pairs:
        assert f"{one}-{other} similarity" in text
    planes = [number for number in range(1, 6) if f'id="plane{number if number > 1 else ""}-' in text]
    assert planes == list(range(1, len(chosen)))
    assert "data:video/mp4" in text
    assert ("FairScore" in text) == (len(pairs) > 1)

    if "video" in modalities and len(modalities) > 4:
        labels = tmp_path / "labels.txt"
        labels.write_text("a bell\na drum\n")
        more = ("--frames", 4, "--labels", labels, "--json", "-o", "evaluation.csv")
        code, output, _ = run(capsys, "evaluate", clips / "m.csv", *how, *more)
        found = json.loads(output)["columns"]
        assert code == 0
        assert [found[column]["value"] for column in columns] == pytest.approx(frame[columns].mean().to_list())
        assert found["avhscore"]["n"] == 8


def test_a_tar_gives_the_values_of_a_manifest(clips, module, capsys, tmp_path):
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for name in IDS[:2]:
            for file in ("png", "wav"):
                tar.add(clips / f"{name}.{file}", f"{name}.{file}")
            tar.add(clips / f"{name}.npy", f"{name}.depth.npy")
    mine = f"{module(('image', 'audio', 'depth'))}:ready"
    for source, output in ((tmp_path / "t.tar", "tar.csv"), (clips / "m.csv", "m.csv")):
        assert run(capsys, "score", source, "--encoder", mine, "--pairs", "all", "-o", output)[0] == 0
    found, expected = read_scores("tar.csv")[0], read_scores("m.csv")[0]
    assert found.equals(expected.loc[IDS[:2]])


def test_what_a_clip_lacks_costs_that_modality_alone(clips, module, capsys, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    np.save(bad / "wide.npy", np.zeros((1, 3, 5), np.float32))
    np.save(bad / "nan.npy", np.full((1, 3, 4), np.nan, np.float32))
    np.save(bad / "words.npy", np.array(["a"]))
    (bad / "text.npy").write_text("no array")
    save_file({"depth": np.ones((1, 2, 4), np.float32), "mask": np.ones(1, np.float32)}, bad / "two.safetensors")
    save_file({"a": np.ones(1, np.float32), "b": np.ones(1, np.float32)}, bad / "other.safetensors")
    depths = {
        "wide.npy": "Expected depth of shape (1, any, 4) per sample, as the encoder declares it, got (1, 3, 5)",
        "nan.npy": "depth has NaN or infinite values",
        "words.npy": "Expected depth as numbers in",
        "text.npy": "Expected depth in a .npy or .safetensors file, got",
        "gone.npy": "Expected depth in a .npy or .safetensors file, got no",
        "other.safetensors": "it has 2 tensors and none of that name",
        "": "depth is missing",
        "two.safetensors": "",
    }
    lines = ["id,image,text,depth,audio", *(f"{n},{clips}/c0.png,a,{d},{clips}/c0.wav" for n, d in enumerate(depths))]
    (bad / "m.csv").write_text("\n".join([*lines, f"no picture,gone.png,a,two.safetensors,{clips}/c0.wav"]))
    mine = f"{module(('image', 'text', 'audio', 'depth'))}:Named"
    assert run(capsys, "score", bad / "m.csv", "--encoder", mine, "-o", "s.csv")[0] == 1
    rows = table(tmp_path / "s.csv")
    for number, (_, reason) in enumerate(depths.items()):
        row = rows[str(number)]
        assert reason in row["error"]
        assert bool(reason) == bool(row["error"])
        assert row["similarity_image_text"]
        assert bool(row["similarity_text_depth"]) == (not reason)
    last = rows["no picture"]
    assert "gone.png" in last["error"]
    assert (last["similarity_image_text"], bool(last["similarity_text_depth"])) == ("", True)


def test_an_encoder_of_ones_own_that_is_none(module, capsys, clips):
    name = module(("image", "depth"))
    for place, message in {
        "gone_module:Named": "Expected an encoder like package.module:factory, got 'gone_module:Named': No module",
        f"{name}:Gone": "has no attribute 'Gone'",
        f"{name}:broken": "no such weights",
        f"{name}:nothing": "'int' object is not callable",
        f"{name}:Shapeless": "Expected an encoder with shapes['depth']",
        "nothing": "Expected encoder to be one of c-mcr, ",
    }.items():
        code, _, error = run(capsys, "score", clips / "m.csv", "--encoder", place, "-o", "s.csv")
        assert code == 2
        assert message in error
        assert len(error.splitlines()) == 1
    code, _, error = run(capsys, "score", clips / "m.csv", "--encoder", f"{name}:Named", "--baseline", "-o", "s.csv")
    assert code == 2
    assert "for the baseline" in error
    code, _, error = run(capsys, "benchmark", clips / "m.csv", "--encoder", f"{name}:Named", "--pairs", "all")
    assert code == 2
    assert "Expected to exchange a modality of the pairs, image, depth, got 'text'" in error


def test_manifests_and_folders_name_files_of_any_modality(tmp_path, clips):
    (tmp_path / "m.jsonl").write_text('{"image": "a.png", "IMU": "a.npy", "text": "x"}\n')
    (entry,) = read_manifest(tmp_path / "m.jsonl", others=("image", "IMU"))
    assert entry == Entry("a", None, None, "x", files={"image": tmp_path / "a.png", "IMU": tmp_path / "a.npy"})
    (tmp_path / "m.csv").write_text("IMU,text\na.npy,x\n")
    assert read_manifest(tmp_path / "m.csv", others=("IMU",))[0].files == {"IMU": tmp_path / "a.npy"}
    with pytest.raises(ValueError, match=r"Expected a column id, video or audio in .* got imu, text"):
        read_manifest(tmp_path / "m.csv")
    (tmp_path / "n.csv").write_text("id,image,text\na,,x\n")
    with pytest.raises(ValueError, match=r"Expected a file of video, audio, image, got none in .*n.csv, line 2"):
        read_manifest(tmp_path / "n.csv", others=("image",))
    folder = tmp_path / "f"
    folder.mkdir()
    for name in ("a.mp4", "a.png", "a.depth.npy", "b.png", "c.depth.npy", "d.npy", "d.wav"):
        (folder / name).touch()
    entries = read_manifest(folder, others=("image", "depth"))
    assert {entry.id: sorted(entry.files) for entry in entries} == {
        "a": ["depth", "image"],
        "b": ["image"],
        "c": ["depth"],
        "d": [],
    }
    assert entries.left_out == ["d.npy"]
    assert [entry.video for entry in entries] == [folder / "a.mp4", None, None, None]
    plain = read_manifest(folder)
    assert [entry.video for entry in plain] == [folder / "a.mp4", folder / "b.png", None]
    assert plain.left_out == ["a.depth.npy", "a.png", "c.depth.npy", "d.npy"]


def test_one_array_of_a_file(tmp_path):
    save_file({"x": np.arange(3, dtype=np.int16)}, tmp_path / "x.safetensors")
    assert read_features(tmp_path / "x.safetensors", "depth").tolist() == [0, 1, 2]
    np.savez(tmp_path / "x.npz", a=np.ones(1))
    with pytest.raises(ValueError, match=r"Expected depth as numbers in .*, got an archive of arrays"):
        read_features(tmp_path / "x.npz", "depth")


def test_pairs_of_a_table():
    names = ["left_eye", "right_eye", "text"]
    columns = [f"similarity_{one}_{other}" for one, other in combinations(names, 2)]
    found = find_pairs(["fairscore", *columns])
    assert list(found.values()) == list(combinations(names, 2))
    assert anchored(found) == [columns[1], columns[2]]
    assert anchored(find_pairs(["similarity_a_b", "similarity_a_c", "similarity_b_c"])) == columns_of("ab", "ac")
    assert find_pairs(["similarity_video_text", "similarity_text_audio"])["similarity_text_audio"] == ("text", "audio")


def test_the_page_of_six_modalities():
    names = ["sight", "text", "sound", "touch", "smell", "taste"]
    pairs = list(combinations(names, 2))
    values = random(9, len(pairs)).numpy()
    frame = pd.DataFrame(values, index=list("abcdefghi"), columns=columns_of(*pairs))
    frame["majorscore_average"] = frame[[column for column in frame if "text" in column]].mean(axis=1)
    own = columns_of(*(pair for pair in pairs if "text" in pair))
    assert list(give_pairs(frame))[:5] == own
    picked = pick_clips(frame)
    assert list(picked) == ["best", "worst", *own[::-1]]
    ranks = frame[own].rank(pct=True)
    first = picked["similarity_text_touch"][0]
    others = ranks.drop(columns="similarity_text_touch").mean(axis=1)
    fit = (ranks["similarity_text_touch"] <= ranks["similarity_text_touch"].median()) & (others >= others.median())
    assert first == (others - ranks["similarity_text_touch"])[fit].idxmax()
    group = make_groups({"one": frame}, {})[2]
    assert (group["title"], len(group["cards"][0]["values"])) == ("Low text-taste, others high", 16)


def columns_of(*pairs):
    return [f"similarity_{one}_{other}" for one, other in pairs]
