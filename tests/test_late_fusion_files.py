"""Late fusion from files: a config is trained, its checkpoint scores clips with pictures, to the page."""

import csv
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run

pytest.importorskip("lightning")
pytest.importorskip("av")
pytest.importorskip("pandas")
Picture = pytest.importorskip("PIL.Image")
from media_files import sine, write, write_sound  # noqa: E402
from test_late_fusion import write as write_heads  # noqa: E402

from torchmetrics_majorscore import load_encoder  # noqa: E402
from torchmetrics_majorscore.encoders.checkpoints import read_tensors  # noqa: E402
from torchmetrics_majorscore.media import read_clip, read_manifest  # noqa: E402
from torchmetrics_majorscore.tables.read import read_scores  # noqa: E402

CPU = torch.device("cpu")
NAMES = ("video", "text", "audio", "image")
COLUMNS = [f"similarity_{one}_{other}" for one, other in combinations(NAMES, 2)]
BACKBONES = {
    "tiny": {"text": "clip-tiny", "image": "clip-tiny", "audio": "clap-tiny", "video": "clip-tiny"},
    "library": {"text": "bert-small", "image": "resnet50", "audio": "vggish", "video": "clip-tiny"},
}


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Small matrices are slower on several threads."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Four clips of 1.2 s with sound and a picture of their own, of two classes."""
    folder = tmp_path_factory.mktemp("clips")
    with (folder / "four.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "video", "image", "text", "audio", "class"))
        for number, text in enumerate(("a bell", "the frog", "two horns", "some rain")):
            shade = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
            write(folder / f"{number}.mp4", count=30, rate=20 + number)
            write_sound(folder / f"{number}.wav", "pcm_s16le", sound(number), 48_000)
            Picture.fromarray(shade[::-1]).save(folder / f"{number}.png")
            picture = f"{number}.{'mp4' if number == 3 else 'png'}"  # of a video, the first one
            writer.writerow((number, f"{number}.mp4", picture, text, f"{number}.wav", f"c{number % 2}"))
    return folder


def sound(number):
    return (2e4 * sine(48_000, seconds=1.2) * np.linspace(0, number, 57_600) / 4).astype(np.int16)


def score_all(capsys, manifest, *how):
    """Score, compare sets, and write the page; returns the frame of scores and what benchmark printed."""
    assert run(capsys, "score", manifest, *how, "-o", "s.csv")[0] == 0
    tables = ("--tables", "sets", "-o", "e.safetensors", "--json")
    code, output, _ = run(capsys, "benchmark", manifest, *how, *tables)
    assert code == 0
    page = ("report", "sets/consistent.csv", "--mispaired", "sets/mispaired.csv", "--manifest", manifest)
    assert run(capsys, *page, "-o", "page.html")[0] == 0
    text = Path("page.html").read_text(encoding="utf-8")
    assert "video-image similarity" in text
    return read_scores("s.csv"), json.loads(output)


def test_heads_of_the_embedded_world(clips, tmp_path, in_folder, capsys):
    write_heads(tmp_path / "heads")
    how = ("--encoder", "late-fusion", "--weights", tmp_path / "heads", "--pairs", "all")
    (frame, signature), found = score_all(capsys, clips / "four.csv", *how)
    assert "|fps:8|" in signature
    assert frame["majorscore_average"].to_numpy() == pytest.approx(frame[COLUMNS].mean(axis=1).to_numpy(), abs=1e-6)
    apart = [(frame[one] - frame[other]).abs() for one, other in combinations(COLUMNS, 2)]
    assert len(apart) == 15
    assert frame["fairscore"].to_numpy() == pytest.approx(sum(apart).to_numpy() / 15, abs=1e-6)
    differences = found["methods"]["MAJORScore"]["fairness"]["consistent"]["value"]
    assert differences == pytest.approx(frame["fairscore"].mean(), abs=1e-6)
    encoder = load_encoder("late-fusion", weights=tmp_path / "heads")
    entry = read_manifest(clips / "four.csv", others=("image",))[0]
    video = encoder.encode("video", [read_clip(entry.video, fps=8).frames], CPU)
    image = encoder.encode("image", [read_clip(entry.files["image"]).frames[0]], CPU)
    assert frame["similarity_video_image"].iloc[0] == pytest.approx((video * image).sum().item(), abs=1e-6)


@pytest.mark.parametrize("backbones", ["tiny", "library"])
def test_a_trained_config_is_an_encoder_of_files(clips, tmp_path, in_folder, capsys, backbones):
    if backbones == "library":
        pytest.importorskip("torchvision")
    entries = read_manifest(clips / "four.csv", others=("image",))
    with (tmp_path / "items.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("modality", "file", "text", "class", "split"))
        for split in ("train", "validation", "test"):
            for entry in entries:
                writer.writerow(("text", "", entry.text, entry.label, split))
                files = {"image": entry.files["image"], "audio": entry.audio, "video": entry.video}
                writer.writerows((name, place, "", entry.label, split) for name, place in files.items())
    lines = [
        f"  {name}: {{encoder: {own}{'' if own.endswith('tiny') else ', weights: seeded'}}}"
        for name, own in BACKBONES[backbones].items()
    ]
    recipe = "recipe: {steps: 4, check_every: 2, batch_size: 2, dim: 8}"
    Path("fuse.yaml").write_text(
        "\n".join(["items: items.csv", "output: fused", "backbones:", *lines, "scenarios: [quad-modal]", "seeds: 1"])
        + f"\n{recipe}\n"
    )
    assert run(capsys, "fuse", "fuse.yaml")[0] == 0
    folder = Path("fused/quad-modal/seed0")
    assert run(capsys, "score", clips / "four.csv", "--encoder", "late-fusion", "--weights", folder)[0] == 0
    frame, signature = read_scores("scores.csv")
    assert "|fps:1|" in signature
    assert load_encoder("late-fusion", weights=folder).sample_rate == (16_000 if backbones == "library" else 48_000)
    assert ("late-fusion-seeded@" in signature) == (backbones == "library")
    # What is scored are the rows that the heads were trained on, behind these heads.
    encoder = load_encoder("late-fusion", weights=folder)
    heads = encoder.on(CPU).heads
    rows = {name: read_tensors(Path(f"fused/embeddings/test_{name}.safetensors"))["rows"] for name in NAMES}
    with torch.no_grad():
        vectors = {name: torch.nn.functional.normalize(heads[name](rows[name]), dim=-1) for name in NAMES}
    for one, other in combinations(NAMES, 2):
        expected = (vectors[one] * vectors[other]).sum(dim=-1)
        assert frame[f"similarity_{one}_{other}"].to_numpy() == pytest.approx(expected.numpy(), abs=1e-5)
