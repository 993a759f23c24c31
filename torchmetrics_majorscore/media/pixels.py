"""A decoded picture as a tensor: RGB, upright."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchmetrics_majorscore.media.container import import_av


def to_rgb(frame: Any, size: tuple[int, int] | None = None) -> Tensor:
    """Convert a decoded picture.

    Args:
        frame: The picture.
        size: Width and height to scale it to before it is turned upright, or None.

    Returns:
        uint8 tensor of shape (3, H, W) whose memory holds rows of RGB pixels, as the decoder gives them: bringing them
        into another order costs more than to convert them from YUV, and the resize that follows is twice as fast on
        this one.
    """
    width, height = size or (frame.width, frame.height)
    pixels = torch.from_numpy(frame.to_ndarray(format="rgb24", width=width, height=height)).permute(2, 0, 1)
    return _upright(pixels, frame)


def _upright(pixels: Tensor, frame: Any) -> Tensor:
    """Apply the frame's display matrix, to the nearest right angle.

    The stored point (x, y) is shown at (a x + c y, b x + d y), moved back into the picture, where the matrix of nine
    int32 starts with a, b, u, c, d.
    """
    try:
        # frame.side_data would tie frame and data into a cycle, and pictures would wait for the garbage collector.
        matrix = import_av().sidedata.sidedata.SideDataContainer(frame).get("DISPLAYMATRIX")
    except ValueError:
        # PyAV 18.1 lists no side data at all beside a kind that it does not know, and EXIF is one. The angle remains.
        return torch.rot90(pixels, round(frame.rotation / 90), (1, 2))
    if matrix is None:
        return pixels
    a, b, _, c, d = torch.frombuffer(bytearray(bytes(matrix)), dtype=torch.int32)[:5].tolist()
    if abs(a) < abs(b):
        pixels, a, d = pixels.transpose(1, 2), c, b
    return pixels.flip([axis for axis, sign in ((1, d), (2, a)) if sign < 0])
