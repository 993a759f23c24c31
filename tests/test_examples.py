"""The examples without a Trainer print the bits of one process on two, started as torchrun starts them."""

import contextlib
import faulthandler
import io
import multiprocessing
import re
import runpy
import signal
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

pytest.importorskip("ftfy")
DOCS = Path(__file__).parents[1] / "docs"


def work(example: str, arguments: list[str]) -> str:
    """Be a process of torchrun: run an example as a script and give what it prints."""
    faulthandler.dump_traceback_later(300, exit=True)  # the agent would wait for half an hour
    torch.set_num_threads(1)
    sys.argv = [example, *arguments]
    sys.path.insert(0, str(DOCS))  # as Python does for a script
    with contextlib.redirect_stdout(io.StringIO()) as said:
        runpy.run_path(example, run_name="__main__")
    return said.getvalue()


def launch(name: str, world: int, *arguments: str) -> list[str]:
    """Run an example as torchrun does; its processes are forks of one that has imported what costs seconds."""
    multiprocessing.set_forkserver_preload(["torchmetrics_majorscore", "lightning.pytorch"])
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=world, run_id="example", rdzv_backend="c10d",
        rdzv_endpoint="localhost:0", max_restarts=0, start_method="forkserver",
    )  # fmt: skip
    said = elastic_launch(config, work)(str(DOCS / name), list(arguments))
    return [said[rank] for rank in range(world)]


def value_of(said: list[str]) -> str:
    """Give the value in hexadecimal, which rank 0 alone prints, and how many processes there were."""
    assert not any(said[1:])
    clips, world, value = re.fullmatch(r"clips: (\d+), processes: (\d+), .*stand-in.*\n.*\((\S+)\)\n", said[0]).groups()
    assert int(world) == len(said)
    assert int(clips) % 2  # so that the sampler of two processes repeats a clip
    return value


@pytest.fixture(autouse=True)
def _on_cpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("TORCHELASTIC_SIGNALS_TO_HANDLE", "")  # the agent sets it and takes the signals, for good
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)}
    yield
    for each, handler in handlers.items():
        signal.signal(each, handler)


def test_torchrun():
    assert value_of(launch("torchrun_example.py", 2)) == value_of(launch("torchrun_example.py", 1))


def test_accelerate():
    pytest.importorskip("accelerate")
    assert value_of(launch("accelerate_example.py", 2)) == value_of(launch("accelerate_example.py", 1))


def test_fabric():
    pytest.importorskip("lightning")
    one, two = (value_of(launch("fabric_example.py", world, "--devices", str(world))) for world in (1, 2))
    assert one == two


def test_reward():
    lines = launch("reward_example.py", 1, "--steps", "3", "--clips", "4")[0].splitlines()
    found = {line.split(":")[0]: float(re.search(r"majorscore_average (\S+),", line)[1]) for line in lines}
    assert found["after, trained on"] > found["before, trained on"]
    assert found.keys() == {f"{when}, {what}" for when in ("before", "after") for what in ("trained on", "others")}
