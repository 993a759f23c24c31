"""Convolutions by tiles: those of the definition, for any size."""

import pytest
import torch
from torch.nn.functional import conv2d

from torchmetrics_majorscore.encoders.winograd import NARROW, Conv3x3, convolve, tile_filters


def made(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 4), (25, 2), (6, 7)])
@pytest.mark.parametrize("bias", [None, made(3, seed=2)])
def test_it_is_the_convolution(size, bias):
    x, weight = made(2, 5, *size), made(3, 5, 3, 3, seed=1)
    ours = convolve(x, tile_filters(weight), bias)
    exact = conv2d(x.double(), weight.double(), None if bias is None else bias.double(), padding=1)
    assert ours.shape == exact.shape
    torch.testing.assert_close(ours.double(), exact, atol=1e-5, rtol=0)


def test_wide_layers_are_as_near_to_the_definition_as_torchs():
    layer = Conv3x3(NARROW, 32, bias=False).requires_grad_(False)
    layer.weight.copy_(made(32, NARROW, 3, 3) / 48)
    x = made(1, NARROW, 12, 8, seed=1)
    exact = conv2d(x.double(), layer.weight.double(), padding=1)
    torch.testing.assert_close(layer(x).double(), exact, atol=5e-6, rtol=0)
    assert layer.tiles is not None
    assert list(layer.state_dict()) == ["weight"]
    narrow = Conv3x3(4, 4)
    narrow(x[:, :4])
    assert narrow.tiles is None
