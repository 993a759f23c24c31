"""A decoded picture as an array: RGB, upright."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.media.container import import_av


def to_rgb(frame: Any, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Convert a decoded picture.

    Args:
        frame: The picture.
        size: Width and height to scale it to before it is turned upright, or None.

    Returns:
        uint8 array of shape (3, H, W) whose memory holds rows of RGB pixels, as the decoder gives them: bringing them
        into another order costs more than to convert them from YUV, and the resize that follows is twice as fast on
        this one.
    """
    width, height = size or (frame.width, frame.height)
    pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24", width=width, height=height)
    upright: NDArray[np.uint8] = np.ascontiguousarray(_upright(pixels, frame))
    return np.moveaxis(upright, 2, 0)


def _upright(pixels: NDArray[np.uint8], frame: Any) -> NDArray[np.uint8]:
    """Apply the frame's display matrix to (H, W, 3), to the nearest right angle.

    The stored point (x, y) is shown at (a x + c y, b x + d y), moved back into the picture, where the matrix of nine
    int32 starts with a, b, u, c, d.
    """
    try:
        # frame.side_data would tie frame and data into a cycle, and pictures would wait for the garbage collector.
        matrix = import_av().sidedata.sidedata.SideDataContainer(frame).get("DISPLAYMATRIX")
    except ValueError:
        # PyAV 18.1 lists no side data at all beside a kind that it does not know, and EXIF is one. The angle remains.
        return np.rot90(pixels, round(frame.rotation / 90))
    if matrix is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(a) < abs(b):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
