"""The first use of an encoder and of a network, and two ranks that begin at once, with a hub on loopback."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hub import CONTENT, Hub, Trouble, point_at

pytest.importorskip("huggingface_hub")

import huggingface_hub

from torchmetrics_majorscore.encoders.public import CHECKPOINTS


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Serve every public file; the cache is empty."""
    server = Hub()
    yield point_at(server, monkeypatch, tmp_path)
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()


TWO = """
import json, sys
from huggingface_hub import constants

constants.HUGGINGFACE_CO_URL_TEMPLATE = sys.argv[1] + "/{repo_id}/resolve/{revision}/{filename}"
from torchmetrics_majorscore.encoders.download import download
from torchmetrics_majorscore.encoders.public import Checkpoint
input()  # both go on at once
print([str(download(Checkpoint(**each))) for each in json.loads(sys.argv[2])])
"""


def test_two_ranks_at_once_download_each_file_once(hub, tmp_path):
    given = json.dumps([asdict(CHECKPOINTS[name]) for name in ("clip", "vggish")])
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
    command = [sys.executable, "-c", TWO, hub.url, given]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    ranks = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    for rank in ranks:
        rank.stdin.write("\n"), rank.stdin.flush()
    said = [rank.communicate() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert hub.sent == ["whole", "whole"]
    assert all(Path(path).read_bytes() == CONTENT for path in json.loads(said[0][0].replace("'", '"')))


@pytest.fixture
def small(hub, monkeypatch, tmp_path):
    """Serve C-MCR's files and VGGish's in the public layouts, but with small trunks."""
    pytest.importorskip("transformers")
    from torchmetrics_majorscore.encoders import clap, clip, cmcr
    from torchmetrics_majorscore.encoders.base import clean_build, seed_weights
    from torchmetrics_majorscore.encoders.checkpoints import write_tensors
    from torchmetrics_majorscore.encoders.clip_network import CLIPNetwork, VisionTransformer
    from torchmetrics_majorscore.encoders.htsat import HTSATOptions
    from torchmetrics_majorscore.encoders.laion import to_laion
    from torchmetrics_majorscore.networks import vggish

    def build_clip():
        visual = VisionTransformer(512, image_size=224, patch_size=32, width=64, layers=1, quick=True)
        parts = {"layers": 1, "width": 64, "heads": 1, "context_length": 77, "vocab_size": 49_408}
        return CLIPNetwork(visual, 512, parts, quick=True)

    monkeypatch.setattr(clip, "build_vit_b_32", build_clip)
    monkeypatch.setattr(vggish.VGGish.__init__, "__defaults__", (((4,), (4,), (6, 6), (256, 8)), (16, 16, 6)))
    with clean_build():
        networks = {
            "clip": build_clip(),
            "clap": clap.build_network(HTSATOptions(width=16, depths=(2, 1, 2, 1), heads=(2, 2, 4, 4))),
            "heads": cmcr.Heads(),
            "vggish": vggish.VGGish(),
        }
        for network in networks.values():
            seed_weights(network)
    write_tensors(tmp_path / "clip", networks["clip"].state_dict())
    torch.save(
        {f"module.{name}": tensor for name, tensor in to_laion(networks["clap"].state_dict()).items()},
        tmp_path / "clap",
    )
    for name in ("heads", "vggish"):
        torch.save(networks[name].state_dict(), tmp_path / name)
    for name in networks:
        monkeypatch.setitem(CHECKPOINTS, name, hub.serve(CHECKPOINTS[name], (tmp_path / name).read_bytes()))
    return networks


def test_the_first_update_says_why_it_cannot_and_downloads_what_it_needs_once_it_can(hub, small):
    from torchmetrics_majorscore import FrechetDistance, MAJORScore
    from torchmetrics_majorscore.networks import load_network

    metric = MAJORScore(sample_rate=48_000, fps=1)
    assert not hub.asked  # a metric costs nothing until it is used
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8, generator=generator)
    audio = 0.1 * torch.randn(2, 96_000, generator=generator)
    batch = {"video": video, "text": ["a dog", "rain"], "audio": audio}
    hub.trouble["630k-fusion-best.pt"] = Trouble(503)
    with pytest.raises(FileNotFoundError, match=r"^630k-fusion-best.pt is not .* answered 503; try again\. Or bring"):
        metric.update(**batch)
    hub.trouble.clear()
    metric.update(**batch)
    assert torch.isfinite(metric.compute())
    FrechetDistance(network=load_network("vggish"), sample_rate=48_000).update(audio=audio, target_audio=audio)
    assert hub.sent == ["whole"] * 4
