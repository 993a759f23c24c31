"""Fixtures for more than one test file."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import torch

from torchmetrics_majorscore.encoders import SharedEncoder, load_encoder


@pytest.fixture(scope="session")
def seeded() -> SharedEncoder:
    """C-MCR of full size with seeded random weights, built once: about 10 s and 0.8 GB."""
    if not all(find_spec(package) for package in ("ftfy", "transformers")):
        pytest.skip("needs the extra cmcr")
    handle = load_encoder("c-mcr", weights="seeded")
    handle.on(torch.device("cpu"))
    return handle


@pytest.fixture
def in_folder(tmp_path, monkeypatch) -> None:
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread for the tests of a module; then as before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
