"""The encoder late-fusion: four modalities, the backbones it was trained on, and what is refused."""

import json
import math

import pytest
import torch
from torch.nn.functional import normalize

from torchmetrics_majorscore import FairScore, MAJORScore, load_encoder
from torchmetrics_majorscore.encoders.checkpoints import write_tensors
from torchmetrics_majorscore.encoders.fusion_heads import build_heads
from torchmetrics_majorscore.encoders.handle import state_digest
from torchmetrics_majorscore.encoders.motion import MotionNetwork, MotionOptions

CPU = torch.device("cpu")
MODALITIES = ("video", "text", "audio", "image")
TEXTS = ["a small bell by the sea", "the frog is in the rain"]
WIDTHS = dict.fromkeys(MODALITIES, 128)


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Small matrices are slower on several threads."""


def write(folder, names=MODALITIES, **changed):
    torch.manual_seed(0)
    motion, heads = MotionNetwork(MotionOptions()).eval(), build_heads(dict.fromkeys(names, 128), 32)
    clip, clap = load_encoder("clip-tiny"), load_encoder("clap-tiny")
    backbones = {"text": clip.name, "image": clip.name, "audio": clap.name}
    backbones |= {"video": f"motion-tiny@{state_digest(motion)}", **changed}
    recipe = {
        "options": {"dim": 32},
        "backbones": {n: backbones[n] for n in names},
        "widths": dict.fromkeys(names, 128),
    }
    write_tensors(folder / "late_fusion.safetensors", heads.state_dict(), {"recipe": json.dumps(recipe)})
    write_tensors(folder / "motion.safetensors", motion.state_dict())
    return heads.eval(), motion


def inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    video = [torch.randint(256, (t, 3, 40, 48), dtype=torch.uint8, generator=generator) for t in (9, 17)]
    image = [torch.randint(256, (3, 70, 64), dtype=torch.uint8, generator=generator) for _ in range(2)]
    audio = [torch.rand(s, generator=generator) - 0.5 for s in (48_000, 96_000)]
    return {"video": video, "text": TEXTS, "audio": audio, "image": image}


def test_every_modality_passes_its_backbone_and_its_head(tmp_path):
    heads, motion = write(tmp_path)
    encoder = load_encoder("late-fusion", weights=tmp_path)
    assert encoder.modalities == MODALITIES
    assert encoder.name.startswith("late-fusion@")
    clip, clap = load_encoder("clip-tiny"), load_encoder("clap-tiny")
    given = inputs()
    with torch.no_grad():
        backbone = {
            "text": clip.encode("text", TEXTS, CPU),
            "image": clip.encode("video", [picture[None] for picture in given["image"]], CPU),
            "audio": clap.encode("audio", given["audio"], CPU),
            "video": motion.encode_video(given["video"]),
        }
    for name in MODALITIES:
        got = encoder.encode(name, given[name], CPU)
        torch.testing.assert_close(got, normalize(heads[name](backbone[name]), dim=-1))
        assert torch.equal(encoder.encode(name, given[name][1:], CPU)[0], got[1])  # no neighbour moves a bit


def test_scores_of_six_pairs(tmp_path):
    write(tmp_path)
    encoder = load_encoder("late-fusion", weights=tmp_path)
    given = inputs()
    embeddings = {name: encoder.encode(name, given[name], CPU) for name in MODALITIES}
    metrics = {"text": MAJORScore(encoder=encoder), "all": MAJORScore(encoder=encoder, pairs="all")}
    metrics["fair"] = FairScore(encoder=encoder)
    for metric in metrics.values():
        metric.update(embeddings=embeddings)
    raw = MAJORScore(encoder=encoder, pairs="all", sample_rate=encoder.sample_rate, fps=8)
    raw.update(**given, ids=["a", "b"])
    assert torch.equal(raw.compute(), metrics["all"].compute())
    assert "|fps:8|" in raw.signature
    twice = given | {"video": [frames.repeat_interleave(2, dim=0) for frames in given["video"]]}
    faster = MAJORScore(encoder=encoder, pairs="all", sample_rate=encoder.sample_rate, fps=16)
    faster.update(**twice)
    assert torch.equal(faster.compute(), raw.compute())
    cosines = torch.stack(
        [(embeddings[a] * embeddings[b]).sum(-1) for n, a in enumerate(MODALITIES) for b in MODALITIES[n + 1 :]], dim=-1
    )
    assert metrics["all"].compute().item() == pytest.approx(cosines.mean().item(), abs=1e-6)
    with_text = cosines[:, [0, 3, 4]]
    assert metrics["text"].compute().item() == pytest.approx(with_text.mean().item(), abs=1e-6)
    apart = [(cosines[:, i] - cosines[:, j]).abs() for i in range(6) for j in range(i + 1, 6)]
    assert len(apart) == math.comb(6, 2) == 15
    assert metrics["fair"].compute().item() == pytest.approx(torch.stack(apart).mean().item(), abs=1e-6)


def test_what_is_refused(tmp_path):
    for weights in (None, "seeded"):
        with pytest.raises(FileNotFoundError, match=r"Expected weights=FOLDER with late_fusion.safetensors"):
            load_encoder("late-fusion", weights=weights)
    write(tmp_path / "tri", MODALITIES[1:])
    with pytest.raises(ValueError, match=r"Expected heads for video, text, audio, image in .*, got those for text, au"):
        load_encoder("late-fusion", weights=tmp_path / "tri").on(CPU)
    write(tmp_path / "other", audio="clap-tiny@12345678")
    with pytest.raises(ValueError, match=r"Expected clap-tiny@12345678 as the backbone of audio, .*, got clap-tiny@"):
        load_encoder("late-fusion", weights=tmp_path / "other").on(CPU)
    write(tmp_path / "unknown", image="vgg@1")
    with pytest.raises(ValueError, match=r"Expected a backbone out of .*, got vgg"):
        load_encoder("late-fusion", weights=tmp_path / "unknown").on(CPU)
    heads, _ = write(tmp_path / "wide")
    path = tmp_path / "wide" / "late_fusion.safetensors"
    wrong = {"options": {"dim": 32}, "backbones": {}, "widths": {**WIDTHS, "audio": 64}}
    write_tensors(path, heads.state_dict(), {"recipe": json.dumps(wrong)})
    with pytest.raises(ValueError, match=r"Expected 'audio.first.weight' of late_fusion.safetensors to have shape"):
        load_encoder("late-fusion", weights=tmp_path / "wide").on(CPU)
    write_tensors(path, heads.state_dict())
    with pytest.raises(ValueError, match=r"Expected heads with their recipe, as `majorscore fuse` writes them, got"):
        load_encoder("late-fusion", weights=tmp_path / "wide").on(CPU)
    write(tmp_path / "good")
    frames = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"Expected at least a second of video at 8 frames per second, got 4 frames"):
        load_encoder("late-fusion", weights=tmp_path / "good").encode("video", [frames], CPU)


def test_the_video_network_sees_motion():
    torch.manual_seed(0)
    network = MotionNetwork(MotionOptions()).eval()
    moving = torch.randint(256, (16, 3, 32, 32), dtype=torch.uint8)
    forwards, backwards, still = network.encode_video([moving, moving.flip(0), moving[:1].expand(16, -1, -1, -1)])
    assert not torch.allclose(forwards, backwards)
    assert not torch.allclose(forwards, still)
