"""PaSST and Synchformer of small width, seeded, and inputs for them; originals of the same size gave the goldens."""

import torch

from torchmetrics_majorscore.encoders.base import clean_build, seed_weights
from torchmetrics_majorscore.networks.motionformer import VideoOptions
from torchmetrics_majorscore.networks.passt import PaSST, PaSSTOptions
from torchmetrics_majorscore.networks.spectrogram_transformer import AudioOptions
from torchmetrics_majorscore.networks.synchformer import Synchformer, SynchformerOptions

PASST = PaSSTOptions(width=24, depth=2, heads=3, bands=46, samples=32_000, classes=5)
SYNCHFORMER = SynchformerOptions(
    VideoOptions(width=32, depth=2, heads=4, patch=56), AudioOptions(width=24, depth=2, heads=3, bands=36), depth=2
)


def small_passt():
    with clean_build():
        network = PaSST(PASST)
        seed_weights(network)
    return network


def small_synchformer():
    with clean_build():
        network = Synchformer(SYNCHFORMER)
        seed_weights(network)
    return network


def sound(samples, seed=0):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def frames(count, seed=0, side=224):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
