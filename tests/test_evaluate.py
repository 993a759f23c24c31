"""Generated clips against real ones, from files to the table of a paper."""

import json
import math
import warnings
import wave
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pd = pytest.importorskip("pandas")
pytest.importorskip("scipy")
pytest.importorskip("av")

from commands import run  # noqa: E402
from test_watching import Counting  # noqa: E402
from vectors import random  # noqa: E402

from torchmetrics_majorscore import DeSync, FrameScores, OnsetScores, load_encoder  # noqa: E402
from torchmetrics_majorscore.encoders.resize import prepare_frames  # noqa: E402
from torchmetrics_majorscore.functional import frechet_distance, inception_score, kl_divergence  # noqa: E402
from torchmetrics_majorscore.media import read_clip, read_frames, read_manifest  # noqa: E402
from torchmetrics_majorscore.modalities.audio import mix  # noqa: E402
from torchmetrics_majorscore.networks import NETWORKS, load_network  # noqa: E402
from torchmetrics_majorscore.networks.synchrony import load_sync  # noqa: E402
from torchmetrics_majorscore.networks.table import NamedNetwork  # noqa: E402
from torchmetrics_majorscore.scoring.evaluate import EvaluateOptions, evaluate_clips  # noqa: E402
from torchmetrics_majorscore.training.world.view import write_mp4, write_world  # noqa: E402

COUNT = 12
TINY = ("--encoder", "c-mcr-tiny")


class Ears:
    """Two or three vectors per sound, and logits of five classes, of its loudness and roughness."""

    name = "ears@1"
    sample_rate = 16_000

    def __init__(self):
        self.heard = 0

    def encode_audio(self, batch):
        self.heard += len(batch)
        windows = [sound[: len(sound) // 16_000 * 16_000].view(-1, 16_000) for sound in batch]
        features = [torch.stack([w.std(dim=1), w.diff(dim=1).std(dim=1), w.mean(dim=1)], dim=-1) for w in windows]
        return {"features": features, "logits": torch.stack([f.mean(dim=0) for f in features]) @ random(3, 5) * 40}


def write_wave(path, sound, rate=48_000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound.clamp(-1, 1) * 32767).to(torch.int16).numpy().tobytes())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Real clips, and generated sounds for all but one of them and for one more, of which one is half as long."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder / "real", COUNT, 0)
    (folder / "generated").mkdir()
    for place, entry in enumerate(read_manifest(folder / "real" / "manifest.csv")[1:]):
        clip = read_clip(entry.video)
        sound = mix(clip.waveform)
        noisy = sound + 0.1 * (1 + place) * sound.std() * random(len(sound), seed=place)
        write_wave(folder / "generated" / f"{entry.id}.wav", noisy[: len(noisy) // (2 if place == 3 else 1)])
    write_wave(folder / "generated" / "stranger.wav", random(64_000) * 0.1)
    return folder


def evaluate(world, output, network, **options):
    real = read_manifest(world / "real" / "manifest.csv")
    generated = read_manifest(world / "generated")
    chosen = EvaluateOptions(encoder="c-mcr-tiny", networks={"ears": network}, **options)
    return evaluate_clips(generated, real, output, chosen), generated, real


def heard(entries):
    """What the network gives for the sounds of clips, by id."""
    ears, found = Ears(), {}
    for entry in entries:
        clip = read_clip(entry.video, entry.audio)
        made = load_network(ears).encode([mix(clip.waveform)], clip.sample_rate, torch.device("cpu"))
        found[entry.id] = made["features"][0], made["logits"][0]
    return found


@pytest.fixture
def ears(monkeypatch):
    monkeypatch.setitem(NETWORKS, "ears", NamedNetwork("ears.load", (), 16_000, 3, 5))
    return Ears()


def test_columns_follow_the_formulas(world, tmp_path, ears):
    found, generated, real = evaluate(world, tmp_path / "e.csv", load_network(ears))
    own, other = heard(generated), heard(real)
    columns = found.columns
    paired = [clip for clip in own if clip in other]
    kl = kl_divergence(*(torch.stack([side[clip][1] for clip in paired]) for side in (own, other)))
    assert columns["kl_ears"].value == pytest.approx(kl.mean().item(), rel=1e-5)
    assert columns["kl_ears"].low < columns["kl_ears"].value < columns["kl_ears"].high
    assert (columns["kl_ears"].n, columns["kl_ears"].lost) == (COUNT - 1, 1)
    features = [torch.cat([features for features, _ in side.values()]) for side in (own, other)]
    assert columns["fd_ears"].value == pytest.approx(frechet_distance(*features).item(), rel=1e-4)
    assert columns["fd_ears"].n == len(features[0]) > COUNT
    assert math.isnan(columns["fd_ears"].low)
    assert columns["is_ears"].n == COUNT
    assert found.unpaired == ["stranger"]
    assert list(found.failures) == ["stranger"]
    assert all("ears@1" in columns[f"{kind}_ears"].signature for kind in ("kl", "fd", "is"))


def test_rows_are_those_of_the_formulas_and_compare_takes_them(world, tmp_path, ears, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, _, _ = evaluate(world, tmp_path / "e.csv", load_network(ears))
    table = pd.read_csv(tmp_path / "e.csv", index_col="id")
    for name in ("kl_ears", "majorscore_average", "fairscore"):
        assert table[name].mean() == pytest.approx(found.columns[name].value, rel=1e-6)
    assert table.loc["stranger", ["kl_ears", "majorscore_average"]].isna().all()
    summary = json.loads((tmp_path / "e.json").read_text())
    assert summary["evaluation"]["fd_ears"]["value"] == pytest.approx(found.columns["fd_ears"].value)
    assert summary["evaluation"]["fd_ears"]["low"] is None
    for file in ("e.csv", "e.json"):
        Path(file.replace("e.", "f.", 1)).write_bytes(Path(file).read_bytes())
    code, output, _ = run(capsys, "compare", "a=e.csv", "b=f.csv", "--columns", "kl_ears")
    assert code == 0
    assert f"| a | {COUNT - 1} |" in output


def test_the_profile_shuffles_in_the_order_of_names(world, tmp_path, ears):
    network = load_network(ears, profile="av-benchmark", seconds=8.0)
    found, generated, _ = evaluate(world, tmp_path / "e.csv", network)
    logits = []
    for entry in sorted(generated, key=lambda entry: entry.id):
        clip = read_clip(entry.video, entry.audio)
        logits.append(network.encode([mix(clip.waveform)], clip.sample_rate, torch.device("cpu"))["logits"][0])
    expected = inception_score(torch.stack(logits), 10, 2020)[0].item()
    assert found.columns["is_ears"].value == pytest.approx(expected, rel=1e-5)
    assert "av-benchmark" in found.columns["is_ears"].signature
    assert "seed:2020" in found.columns["is_ears"].signature


def test_a_second_run_hears_only_what_has_changed(world, tmp_path, ears):
    network, output = load_network(ears), tmp_path / "e.csv"
    first, generated, _ = evaluate(world, output, network)
    heard, table = ears.heard, output.read_bytes()
    assert heard == 2 * COUNT
    again, _, _ = evaluate(world, output, network)
    assert ears.heard == heard
    assert output.read_bytes() == table
    assert repr(again.columns) == repr(first.columns)
    path = generated[0].audio
    kept = path.read_bytes()
    write_wave(path, random(70_000, seed=9) * 0.1)
    try:
        changed, _, _ = evaluate(world, output, network)
    finally:
        path.write_bytes(kept)
    assert ears.heard == heard + 1
    assert changed.changed == [generated[0].id]
    assert changed.columns["fd_ears"].value != first.columns["fd_ears"].value


class Watcher(Counting):
    """Compares what lasts 2.5 s, at 50 x 50 pixels."""

    shortest, frame_size = 2.5, 50


def test_the_embedded_world_has_desync_of_its_own_and_a_slow_video_a_remark(world, tmp_path):
    clips = read_manifest(world / "real" / "manifest.csv")[:3]
    frames, sound = read_frames(clips[0].video, fps=12)[..., ::4, ::4], read_clip(clips[0].video).waveform
    write_mp4(tmp_path / "slow.mp4", frames, 12, mix(sound), 48_000)
    slow = replace(clips[0], id="slow", video=tmp_path / "slow.mp4")
    chosen = EvaluateOptions(encoder="c-mcr-tiny", sync=load_sync("sync-tiny"))
    found = evaluate_clips([*clips, slow], None, tmp_path / "a.csv", chosen)
    column = found.columns["desync_tiny"]
    assert (column.n, column.lost, found.failures) == (3, 1, {})
    assert column.value < 0.3
    assert column.signature.startswith("desync|enc:sync-tiny@")
    row = pd.read_csv(tmp_path / "a.csv", index_col="id").loc["slow"]
    assert math.isnan(row["desync_tiny"])
    assert "desync: video has 12 frames per second, and 25 are compared" in row["remarks"]


@pytest.mark.parametrize("profile", ["default", "av-benchmark"])
def test_desync_is_that_of_the_metric_and_pictures_are_seen_once(world, tmp_path, profile):
    network = Watcher()
    sync = load_sync(network, profile=profile, seconds=3.0)
    real = read_manifest(world / "real" / "manifest.csv")
    generated = read_manifest(world / "generated")
    chosen = EvaluateOptions(encoder="c-mcr-tiny", sync=sync)
    found = evaluate_clips(generated, real, tmp_path / "a.csv", chosen)
    short = real[4].id
    assert found.failures.keys() == {short, "stranger"}
    assert found.failures[short] == f"desync: audio lasts 2.01 s, and {sync.shortest:g} s are compared"
    own = DeSync(network=sync, sample_rate=48_000, fps=25, nan_strategy="ignore")
    late = 0.0199 if profile == "av-benchmark" else 0.0
    for entry in (one for one in generated if one.id not in (short, "stranger")):
        picture = next(one.video for one in real if one.id == entry.id)
        frames = read_frames(picture, fps=25, start=late)
        own.update(audio=[mix(read_clip(None, entry.audio).waveform)], video=[prepare_frames(frames, 50)])
    column = found.columns["desync"]
    assert column.value == pytest.approx(own.compute().item(), rel=1e-6)
    assert (column.n, column.lost) == (COUNT - 2, 2)
    assert column.low <= column.value <= column.high
    assert column.signature == own.signature
    assert pd.read_csv(tmp_path / "a.csv", index_col="id").loc[[short, "stranger"], "desync"].isna().all()
    seen = network.seen
    assert "sync:" not in found.columns["fairscore"].signature
    assert repr(evaluate_clips(generated, real, tmp_path / "b.csv", chosen).columns) == repr(found.columns)
    assert network.seen == seen


def test_frame_scores_are_those_of_the_metric_and_compare_takes_them(world, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clips = read_manifest(world / "real" / "manifest.csv")[:3]
    short, sound = tmp_path / "short.mp4", world / "generated" / "stranger.wav"
    write_mp4(
        short, read_frames(clips[2].video, fps=4)[:6], 4, mix(read_clip(clips[2].video).waveform)[:72_000], 48_000
    )
    videos = {"a": clips[0].video, "b": clips[1].video, "c": short}
    lines = [*(f"{name},{path},,a bell" for name, path in videos.items()), f"d,,{sound},a bell"]
    Path("m.csv").write_text("\n".join(["id,video,audio,text", *lines]))
    encoder = load_encoder("c-mcr-tiny")
    clap = encoder.on(torch.device("cpu")).clap
    inner, heard = clap.embed_audio, []
    monkeypatch.setattr(clap, "embed_audio", lambda batch: heard.extend(map(len, batch)) or inner(batch))
    options = (*TINY, "--frames", 2, "--json", "--workers", 1)
    code, output, _ = run(capsys, "evaluate", "m.csv", *options, "-o", "a.csv")
    assert code == 1
    # Four whole sounds; windows and seconds of those of 4 s; a second of that of 1.5 s, whose window is all of it.
    assert len(heard) == 4 + 2 * (5 + 4) + 1
    columns = json.loads(output)["columns"]
    metric = FrameScores(encoder, sample_rate=48_000, fps=2, nan_strategy="ignore")
    for name, place in videos.items():
        metric.update(video=[read_frames(place, fps=2)], audio=[mix(read_clip(place).waveform)], ids=[name])
    table = pd.read_csv("a.csv", index_col="id")
    for name, value in metric.compute().items():
        assert columns[name]["value"] == pytest.approx(value.item(), abs=1e-6)
        assert columns[name]["low"] <= columns[name]["value"] <= columns[name]["high"]
        assert columns[name]["signature"] == metric.signature
        own = metric.rows()[name]
        assert table.loc[["a", "b", "c"], name].tolist() == pytest.approx(own.tolist(), abs=1e-6, nan_ok=True)
    assert [columns[name]["n"] for name in ("avhscore", "javisscore", "synchrony")] == [3, 3, 2]
    assert "synchrony: picture and sound last under 2 s" in table.loc["c", "remarks"]
    assert table.loc["d", "error"] == "no picture"
    assert "frames:" not in columns["fairscore"]["signature"]
    for end in (".csv", ".json"):
        Path(f"b{end}").write_bytes(Path(f"a{end}").read_bytes())
    code, output, _ = run(capsys, "compare", "a=a.csv", "b=b.csv", "--columns", "avhscore", "synchrony")
    assert code == 0
    assert "| a | 2 |" in output
    code, _, errors = run(capsys, "evaluate", "m.csv", *TINY, "--frames", 1, "-o", "c.csv")
    assert code == 2
    assert "Expected fps >= 1.5, three frames in 2 s, got 1" in errors


def test_another_clap_takes_the_place_of_the_baselines():
    joint = load_encoder("c-mcr", weights="seeded")
    keys = [[one.portable_key.split("|")[0] for one in joint.baseline(clap)] for clap in (None, "clap-music")]
    assert keys == [["clip", "clap"], ["clip", "clap-music"]]


def test_files_of_another_network_are_refused(world, tmp_path, ears):
    evaluate(world, tmp_path / "e.csv", load_network(ears))
    ears.name = "ears@2"
    other = Ears()
    other.name = "ears@2"
    with pytest.raises(ValueError, match="was written with signature"):
        evaluate(world, tmp_path / "e.csv", load_network(other))


@pytest.mark.filterwarnings("error")
def test_the_command_needs_no_weights(world, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAJORSCORE_WEIGHTS", raising=False)
    reference = ("--reference", world / "real" / "manifest.csv")
    code, output, _ = run(capsys, "evaluate", world / "generated", *reference, *TINY, "--name", "noisy")
    assert code == 1
    lines = output.splitlines()
    assert lines[0] == "| column | value | n | left out |"
    for name in ("majorscore_average", "fairscore", "kl_zero_shot", "fd_clap", "is_zero_shot"):
        assert any(line.startswith(f"| {name} |") for line in lines)
    assert any(line.startswith("| noisy | ") for line in lines)
    assert "1 generated clips have no reference, e.g. 'stranger'." in lines
    assert any(line.startswith("signature: frechetdistance|enc:c-mcr-tiny@") for line in lines)
    options = (*TINY, "--onsets", "strict", "--format", "latex", "--json", "-o", "with_onsets.csv")
    code, output, _ = run(capsys, "evaluate", world / "generated", *reference, *options)
    record = json.loads(output)
    assert record["unpaired"] == ["stranger"]
    assert record["columns"]["kl_zero_shot"]["n"] == COUNT - 1
    sides = [read_manifest(world / name) for name in ("generated", "real/manifest.csv")]
    own, real = ({clip.id: clip for clip in side} for side in sides)
    metric = OnsetScores(sample_rate=48_000)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The inputs of sample")  # one is half as long
        for clip_id in own.keys() & real.keys():
            metric.update(
                audio=mix(read_clip(None, own[clip_id].audio).waveform)[None],
                target_audio=mix(read_clip(real[clip_id].video).waveform)[None],
                ids=[clip_id],
            )
    for name, value in metric.compute().items():
        assert 0 < record["columns"][name]["value"] == pytest.approx(value.item(), abs=1e-6)
        assert record["columns"][name]["signature"] == metric.signature
    assert record["columns"]["onset_f1"]["n"] == COUNT - 1
    assert load_encoder("c-mcr-tiny").name in record["signature"]


def test_without_real_clips_what_needs_them_is_left_out(world, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output, _ = run(capsys, "evaluate", world / "real" / "manifest.csv", *TINY)
    assert code == 0
    assert "Without --reference there are no distances and divergences." in output
    assert "is_zero_shot" in output
    assert "fd_clap |" not in output
    assert "kl_zero_shot |" not in output


def test_clips_of_other_names_are_refused(world, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("other").mkdir()
    write_wave(Path("other/a.wav"), random(64_000) * 0.1)
    code, _, errors = run(capsys, "evaluate", "other", "--reference", world / "real" / "manifest.csv", *TINY)
    assert code == 2
    assert "Expected generated and real clips with the same ids, got none in common, but 'a' and" in errors


def test_a_network_that_is_named_must_be_there(world, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, errors = run(capsys, "evaluate", world / "generated", *TINY, "--networks", "pans")
    assert code == 2
    assert "Expected network to be one of" in errors


def test_a_file_that_cannot_be_read_costs_that_clip(world, tmp_path, ears):
    generated = tmp_path / "generated"
    generated.mkdir()
    for file in (world / "generated").iterdir():
        (generated / file.name).write_bytes(file.read_bytes())
    broken = sorted(generated.iterdir())[0]
    broken.write_bytes(b"no sound")
    real = read_manifest(world / "real" / "manifest.csv")
    chosen = EvaluateOptions(encoder="c-mcr-tiny", networks={"ears": load_network(ears)})
    found = evaluate_clips(read_manifest(generated), real, tmp_path / "e.csv", chosen)
    assert set(found.failures) == {broken.stem, "stranger"}
    assert found.columns["is_ears"].lost == 1
    assert found.columns["kl_ears"].n == COUNT - 2
