"""A command on a Ray cluster of this machine, twice: it is interrupted, and when it continues it loses an actor.

Run by test_ray_engine as a process of its own: nothing of Ray can then hang the tests, or stay behind.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path


def rows(table: Path) -> int:
    """Count the rows of a table that grows."""
    return max(0, table.read_bytes().count(b"\n") - 1) if table.exists() else 0


def actors() -> list[int]:
    """Give the processes of this one's cluster that score."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue

    def is_ours(process: int) -> bool:
        return process == os.getpid() or (process in parents and is_ours(parents[process]))

    return [process for process, name in names.items() if b"_Actor" in name and is_ours(process)]


def once_grown(table: Path, do) -> list[int]:
    """Do something as soon as a table has more rows; gives how many it had then, and what was done."""
    before, found = rows(table), []

    def watch():
        while rows(table) == before:
            time.sleep(0.005)
        found.extend((rows(table), do()))

    threading.Thread(target=watch, daemon=True).start()
    return found


def interrupt() -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return os.getpid()


def kill_actor() -> int:
    process = actors()[0]
    os.kill(process, signal.SIGKILL)
    return process


def main(tars: str, table: str, report: str) -> None:
    """Score tars in two goes; writes what happened as JSON."""
    os.environ |= {"RAY_agent_register_timeout_ms": "120000", "RAY_raylet_start_wait_time_s": "120"}
    os.environ |= {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    import ray

    from torchmetrics_majorscore.cli.main import main as run

    begun = time.monotonic()

    def said(word: str) -> None:
        print(f"{time.monotonic() - begun:.1f} s: {word}", file=sys.stderr, flush=True)

    memory = 128 * 2**20
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=memory,
    )
    said("cluster")
    how = ["--encoder", "c-mcr-tiny", "--batch-size", "1", "--engine", "ray", "--device", "cpu"]
    growing = Path(table).with_name(f".{Path(table).name}.csv")
    stopped = once_grown(growing, interrupt)
    codes = [run(["score", tars, *how, "-o", table])]
    said("interrupted")
    kept = rows(growing)
    killed = once_grown(growing, kill_actor)
    codes.append(run(["score", tars, *how, "-o", table]))
    said("continued")
    found = {"codes": codes, "kept": kept, "stopped": stopped, "killed": killed, "whole": rows(growing)}
    Path(report).write_text(json.dumps(found))
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
