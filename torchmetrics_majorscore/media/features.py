"""Files of numbers: depth, point clouds, whatever an encoder takes as a tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmetrics_majorscore.extras import needs_extra


def read_features(path: Path, name: str) -> NDArray[Any]:
    """Read the array of a sample.

    Args:
        path: ``.npy``, opened without pickled objects, or ``.safetensors``.
        name: of the modality: of a safetensors file with several tensors, the one of that name is read.

    Returns:
        Numbers of any shape.

    Raises:
        FileNotFoundError: there is no such file.
        ModuleNotFoundError: safetensors is missing.
        ValueError: it is none of the two, or has no numbers; one line that names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Expected {name} in a .npy or .safetensors file, got no {path}")
    try:
        array = _from_safetensors(path, name) if path.suffix.lower() == ".safetensors" else np.load(path)
    except (ValueError, EOFError) as error:  # of a pickle, a text, a file that was cut off
        raise ValueError(f"Expected {name} in a .npy or .safetensors file, got {path}: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        got = array.dtype if isinstance(array, np.ndarray) else "an archive of arrays"
        raise ValueError(f"Expected {name} as numbers in {path}, got {got}")
    return array


def _from_safetensors(path: Path, name: str) -> NDArray[Any]:
    needs_extra("safetensors", "evaluation")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, TypeError, KeyError) as error:  # of a type that NumPy lacks
        raise ValueError(str(error)) from error
    if len(tensors) != 1 and name not in tensors:
        raise ValueError(f"it has {len(tensors)} tensors and none of that name")
    return tensors[name] if name in tensors else next(iter(tensors.values()))
