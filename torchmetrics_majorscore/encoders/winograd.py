"""Convolutions of 3 x 3 with 4 / 9 of the products, for processors.

Four results of a tile of 2 x 2 are made of 16 products where the definition takes 36, so wide layers take half the time
(docs/networks.md). In float32 it differs from the definition as much as two implementations of it do.

Source: Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks", CVPR 2016, F(2 x 2, 3 x 3).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

NARROW = 256
"""Channels below which moving the tiles takes longer than the products that are saved."""


class Conv3x3(nn.Conv2d):
    """A convolution of 3 x 3 with zeros around, frozen; on a processor and of many channels as above.

    Args:
        width: channels of the input.
        channels: channels of the output.
        bias: whether it has one.
    """

    tiles: Tensor | None

    def __init__(self, width: int, channels: int, *, bias: bool = True) -> None:
        super().__init__(width, channels, 3, padding=1, bias=bias)
        self.register_buffer("tiles", None, persistent=False)  # made of the weights at the first call: they are frozen

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to (B, channels, H, W)."""
        if self.in_channels < NARROW or x.device.type != "cpu":
            return conv2d(x, self.weight, self.bias, padding=1)
        if self.tiles is None:
            self.tiles = tile_filters(self.weight.detach())
        return convolve(x, self.tiles, self.bias)


def tile_filters(weight: Tensor) -> Tensor:
    """Transform filters (channels, width, 3, 3) to those of tiles, (16, width, channels)."""
    spread = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float64)
    tiles = spread @ weight.double() @ spread.T
    return tiles.permute(2, 3, 1, 0).flatten(0, 1).to(weight.dtype).contiguous()


def convolve(x: Tensor, tiles: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve as ``conv2d(x, weight, bias, padding=1)`` does.

    Args:
        x: shape (B, width, H, W), best with channels last in memory.
        tiles: from :func:`tile_filters`.
        bias: (channels,) or None.

    Returns:
        Shape (B, channels, H, W), with channels last in memory.
    """
    height, width = x.shape[2:]
    # Channels last: every step below then runs along them.
    padded = pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 + width % 2, 1, 1 + height % 2))
    parts = torch.stack([part for row in _spread(padded, 1) for part in _spread(row, 2)])
    products = torch.bmm(parts.flatten(1, 3), tiles).view(4, 4, *parts.shape[1:4], -1)
    merged = torch.stack([torch.stack(_merge(row), dim=3) for row in _merge(products)], dim=2)
    whole = merged.flatten(3, 4).flatten(1, 2)[:, :height, :width]
    return (whole if bias is None else whole + bias).permute(0, 3, 1, 2)


def _spread(x: Tensor, dim: int) -> tuple[Tensor, ...]:
    """Give the four sums along a dimension that are multiplied, of tiles of four that overlap by two."""
    a, b, c, d = x.unfold(dim, 4, 2).unbind(-1)
    return a - c, b + c, c - b, b - d


def _merge(products: Tensor) -> tuple[Tensor, ...]:
    """Give the two results of four products, (4, ...)."""
    a, b, c, d = products
    return a + b + c, b - c - d
