"""Seeded random embeddings, and the cosine by NumPy."""

import numpy as np
import torch

NAMES = ("video", "text", "audio", "depth", "touch")
COMBINE = ("sum", "product", "average")


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def embed(count, rows=9, dim=6, dtype=torch.float32, seed=0):
    return {name: random(rows, dim, seed=seed + k, dtype=dtype) for k, name in enumerate(NAMES[:count])}


def numpy_cosine(a, b):
    a, b = a.double().numpy(), b.double().numpy()
    return np.einsum("bd,bd->b", a, b) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
