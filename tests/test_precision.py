"""bf16: the same bits in every batch, near float32, and never taken for it."""

import pickle

import pytest
import torch
from signals import CPU, encode, picture, sound
from torch import nn

from torchmetrics_majorscore import CLIPCLAPScore, FairScore, MAJORScore, MAJORScores
from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.cmcr import load
from torchmetrics_majorscore.encoders.precision import use_bf16
from torchmetrics_majorscore.encoders.tiny import TinyCMCR
from torchmetrics_majorscore.metrics.conditions import Conditions
from torchmetrics_majorscore.scoring.score import ClipScorer, ScoreOptions

pytest.importorskip("ftfy")
pytestmark = pytest.mark.filterwarnings("ignore:Expected a processor with bfloat16")
TINY = {"sample_rate": 16_000, "fps": 1.0}


@pytest.fixture(scope="module", autouse=True)
def _alone(one_thread):
    """Tiny networks are slower on several threads."""


def batch(modality):
    if modality == "text":
        return ["a small bell", "a large dog on grass, barking", "a cat", "two", "a red bird"]
    if modality == "audio":
        return [sound(seconds, 16_000, seed=row) for row, seconds in enumerate((1.0, 2.0, 0.5, 1.5, 9.0, 1.1))]
    return [picture(64, 64).expand(1 + row, -1, -1, -1).roll(row, -1) for row in range(5)]


@pytest.mark.parametrize("modality", ["video", "text", "audio"])
def test_bf16_has_the_same_bits_in_every_batch_and_is_near_float32(modality):
    low, full, samples = load_encoder("c-mcr-tiny", precision="bf16"), load_encoder("c-mcr-tiny"), batch(modality)
    whole = encode(low, modality, samples)
    assert torch.equal(torch.cat([encode(low, modality, samples[:1]), encode(low, modality, samples[1:])]), whole)
    assert torch.equal(encode(low, modality, samples[::-1]).flip(0), whole)
    assert whole.dtype == torch.float32
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(len(samples)))
    cosines = (whole * encode(full, modality, samples)).sum(dim=1)
    assert 1e-7 < (1 - cosines).max() < 3e-3


def test_only_the_networks_matrices_are_bf16():
    encoder = load_encoder("c-mcr-tiny", precision="bf16").on(CPU)
    assert isinstance(encoder, TinyCMCR)
    matrices = {nn.Linear, nn.Conv2d, nn.MultiheadAttention}
    for name, module in encoder.named_modules():
        kinds = {type(module), *type(module).__mro__}
        expected = torch.bfloat16 if ".network." in name and kinds & matrices else torch.float32
        assert {p.dtype for p in module.parameters(recurse=False)} <= {expected}, name
    heads = [encoder.clip.head, encoder.clap.head, encoder.clap.mel]
    assert {t.dtype for part in heads for t in part.state_dict().values() if t.is_floating_point()} == {torch.float32}


def test_the_full_size_networks_run_in_bf16(seeded):
    """Seeded weights, CLAP's fusion for long sounds included; heads, preparation and cosines stay in float32."""
    encoder = load(Weights("seeded", seeded=True), "after_head")
    use_bf16(encoder)
    inputs = {"video": [picture(230, 260)], "text": ["a dog barks"], "audio": [sound(2), sound(11)]}
    for modality, samples in inputs.items():
        with torch.no_grad():
            low = getattr(encoder, f"encode_{modality}")(samples)
        cosines = (low * encode(seeded, modality, samples)).sum(dim=1)
        assert low.dtype == torch.float32
        assert 1e-7 < (1 - cosines).max() < 3e-3


@pytest.mark.parametrize("make", [MAJORScore, FairScore, MAJORScores])
def test_bf16_has_a_signature_of_its_own(make):
    low, full = make(encoder=load_encoder("c-mcr-tiny", precision="bf16")), make(encoder="c-mcr-tiny")
    assert [part for part in low.signature.split("|") if part not in full.signature.split("|")] == ["precision:bf16"]
    assert "precision" not in full.signature
    assert pickle.loads(pickle.dumps(low)).signature == low.signature
    baseline = CLIPCLAPScore("sum", *load_encoder("c-mcr-tiny", precision="bf16").baseline())
    assert "|precision:bf16|" in baseline.signature
    scorer = ClipScorer(ScoreOptions(load_encoder("c-mcr-tiny", precision="bf16"), baseline=True, device="cpu"))
    assert "|precision:bf16|" in scorer.signature
    assert [one.precision for one in scorer.encoder.baseline] == ["bf16", "bf16"]


def test_rows_and_conditions_of_bf16_are_never_taken_for_those_of_float32(tmp_path):
    cache = Conditions(tmp_path / "conditions.db")
    encoders = {p: load_encoder("c-mcr-tiny", precision=p) for p in ("float32", "bf16")}
    metrics = {p: MAJORScore(encoder=encoder, cache_conditions=cache) for p, encoder in encoders.items()}
    handles = {precision: metric.encoder for precision, metric in metrics.items()}
    contents = cache.note("text", ["a small bell"], [1])
    texts = {
        p: cache.encode(handle, "text", contents, lambda items, handle=handle: handle.encode("text", items, CPU))
        for p, handle in handles.items()
    }
    assert not torch.equal(texts["bf16"], texts["float32"])
    assert torch.equal(texts["bf16"], encode(handles["bf16"], "text", ["a small bell"]))
    metrics["float32"].save_rows(tmp_path / "rows.pt")
    with pytest.raises(ValueError, match="different encoders or options"):
        metrics["bf16"].merge_rows(tmp_path / "rows.pt")
    key = handles["float32"].portable_key
    assert (key + "|bf16", key.count("|")) == (handles["bf16"].portable_key, 2)


@pytest.mark.parametrize(
    ("capabilities", "warned"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, True),
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, False),
        ({"neon": True, "bf16": True}, False),
        ({"neon": True, "bf16": False}, True),
        ({"architecture": "unknown"}, False),
    ],
)
def test_bf16_warns_once_of_a_processor_without_it(monkeypatch, recwarn, capabilities, warned):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    shared = load_encoder("c-mcr-tiny", precision="bf16")
    monkeypatch.setattr(shared, "_replicas", {})
    for _ in range(2):
        shared.on(CPU)
    load_encoder("c-mcr-tiny").on(CPU)
    messages = [str(warning.message) for warning in recwarn if "bfloat16 instructions" in str(warning.message)]
    assert len(messages) == warned
    for message in messages:
        assert "precision='bf16', got one without" in message
