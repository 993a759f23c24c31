"""Synchformer: its layout, the original's numbers, the same bits in any batch, and its way from a file."""

import pytest
import torch
from layouts import layout
from small_networks import frames, small_synchformer, sound

from torchmetrics_majorscore.networks import synchformer
from torchmetrics_majorscore.networks.synchformer import Synchformer
from torchmetrics_majorscore.networks.synchrony import load_sync

CPU = torch.device("cpu")
# Of av-benchmark's network with these weights, see benchmarks/network_originals.py.
AUDIO = [-0.329851, -0.322063, -0.935973, -0.424953, 1.298514]
VIDEO = [-0.187456, -0.054699, 0.93921, 1.196521, -0.156269]
LOGITS = [-0.910868, 0.364941, 0.228786, -0.290576, -2.012302]


def features(segments=16):
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(segments, n, width, generator=generator) for n, width in ((8, 32), (6, 24)))


def test_the_public_network_has_the_originals_tensors():
    with torch.device("meta"):
        tensors = Synchformer().state_dict()
    assert layout(tensors) == (513, "46bd17f1ad68d1df")  # of av-benchmark's Synchformer
    assert tensors["transformer.pos_emb_cfg.pos_emb"].shape == (1, 198, 768)
    counts = {part: sum(name.startswith(part) for name in tensors) for part in ("vfeat", "afeat", "transformer")}
    assert counts == {"vfeat": 238, "afeat": 212, "transformer": 59}


def test_the_originals_numbers():
    network = small_synchformer()
    heard, seen = network.encode_audio([sound(20_480)])[0], network.encode_video([frames(24)])[0]
    assert heard.shape == (3, 6, 24)
    assert seen.shape == (2, 8, 32)
    torch.testing.assert_close(heard[1, 2, :5], torch.tensor(AUDIO), rtol=0, atol=5e-6)
    torch.testing.assert_close(seen[1, 3, :5], torch.tensor(VIDEO), rtol=0, atol=2e-5)
    video, audio = features()
    logits = network.compare([video], [audio])
    assert logits.shape == (1, 2, 21)
    torch.testing.assert_close(logits[0, 1, :5], torch.tensor(LOGITS), rtol=0, atol=5e-6)


def test_clips_have_the_same_bits_in_any_batch_and_draw_no_random_number():
    network = small_synchformer()
    sounds, videos = [sound(n, n) for n in (10_240, 61_000, 20_000)], [frames(n, n) for n in (16, 41)]
    state = torch.get_rng_state()
    heard, seen = network.encode_audio(sounds), network.encode_video(videos)
    assert torch.equal(torch.get_rng_state(), state)
    assert [len(rows) for rows in (*heard, *seen)] == [1, 10, 2, 1, 4]
    assert all(torch.equal(network.encode_audio([one])[0], rows) for one, rows in zip(sounds, heard, strict=True))
    assert all(torch.equal(network.encode_video([one])[0], rows) for one, rows in zip(videos, seen, strict=True))
    (v, a), (w, b) = features(), features(24)
    together = network.compare([v, w], [a, b])
    assert torch.equal(together[0], network.compare([v], [a])[0])
    assert torch.equal(together[1], network.compare([w], [b])[0])


def test_windows_are_the_first_and_the_last_segments_that_both_have():
    network, (video, audio) = small_synchformer(), features(24)
    logits = network.compare([video], [audio[:20]])
    assert torch.equal(logits, network.compare([video[:20]], [audio[:20]]))
    ends = network.compare([video[6:20]], [audio[6:20]])[0, 0]
    torch.testing.assert_close(logits[0, 1], ends, rtol=0, atol=1e-6)


def test_loaded_from_its_public_file_or_seeded(tmp_path, monkeypatch):
    monkeypatch.setattr(synchformer, "Synchformer", small_synchformer)
    expected = small_synchformer()
    torch.save(expected.state_dict(), tmp_path / "synchformer_state_dict.pth")
    from_file, seeded = (load_sync(weights=weights) for weights in (tmp_path, "seeded"))
    assert from_file.name.startswith("synchformer@")
    assert seeded.name == from_file.name.replace("synchformer@", "synchformer-seeded@")
    assert load_sync(weights=tmp_path) is from_file
    heard = [handle.encode_audio([sound(20_000)], 16_000, CPU)[0] for handle in (from_file, seeded)]
    assert torch.equal(heard[0], heard[1])
    assert torch.equal(heard[0], expected.encode_audio([sound(20_000)])[0])


def test_the_download_is_known_by_its_md5(tmp_path):
    from dataclasses import replace

    from torchmetrics_majorscore.encoders.download import _verify
    from torchmetrics_majorscore.encoders.fetch import WrongFileError
    from torchmetrics_majorscore.encoders.public import CHECKPOINTS

    path = tmp_path / "file"
    path.write_bytes(b"abc")
    checkpoint = CHECKPOINTS["synchformer"]
    with pytest.raises(WrongFileError, match="does not have the digest of the public synchformer_state"):
        _verify(path, checkpoint)
    _verify(path, replace(checkpoint, md5="900150983cd24fb0d6963f7d28e17f72"))
