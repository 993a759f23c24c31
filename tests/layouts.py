"""The layout of a network's tensors, to compare without the original."""

import hashlib


def layout(tensors):
    """Give the number of tensors and a digest of their names and shapes."""
    lines = [f"{name} {tuple(tensor.shape)}\n" for name, tensor in sorted(tensors.items())]
    return len(lines), hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
