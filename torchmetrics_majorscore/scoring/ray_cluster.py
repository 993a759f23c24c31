"""A Ray cluster to work on: one that is there, or one on this machine; what it says, and how it fails."""

import io
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from torchmetrics_majorscore.extras import needs_extra

LOGGER = logging.getLogger(__name__)
HERE = {
    # A busy machine takes longer to start a cluster than Ray waits for it.
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_raylet_start_wait_time_s": "300",
    # Under `uv run`, Ray would make the environment anew for each actor.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # What its processes think is in their own files.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
"""Variables of the environment for a cluster on this machine; those that are set already stay as they are."""
WAIT = 20.0  # seconds for an answer


@contextmanager
def cluster(address: str | None, block: int) -> Iterator[Any]:
    """Connect to a cluster; a process that was connected before stays so.

    Args:
        address: of the cluster; None for that of RAY_ADDRESS, else one on this machine, which is started.
        block: bytes of data that Ray Data moves together.

    Yields:
        The module ``ray``, with ``ray.data``.

    Raises:
        ConnectionError: there is no cluster, or it gave up.
        ValueError: what the work on it met.
        ModuleNotFoundError: Ray is missing.
    """
    needs_extra("ray", "ray")
    where = address or os.environ.get("RAY_ADDRESS")
    for name, value in {"RAY_COLOR_PREFIX": "0", **({} if where else HERE)}.items():
        os.environ.setdefault(name, value)
    import ray
    import ray.data

    own = not ray.is_initialized()
    if own:
        _connect(ray, where)
    try:
        # Ray prints what becomes of its workers to stdout, where the results belong.
        with redirect_stdout(_Said()), ray.data.DataContext.current(_settings(ray, block)):
            yield ray
    except ray.exceptions.RayError as error:
        cause = _first(error)
        if isinstance(cause, (OSError, ValueError)):  # a tar that is cut off, for example; Ray adds lines of its own
            raise ValueError(_line(cause)) from error
        raise ConnectionError(
            f"Expected the Ray cluster to score the clips, got {type(cause).__name__}: {_line(cause)}"
        ) from error
    finally:
        if own:
            ray.shutdown()


def _connect(ray: Any, where: str | None) -> None:
    how = {"log_to_driver": False, "logging_level": "error"}
    try:
        if where and (found := re.fullmatch(r"(?:ray://)?\[?([^/]+?)\]?:(\d+)", where)):
            # Ray would try for two minutes, and then end the process.
            socket.create_connection((found[1], int(found[2])), WAIT).close()
        ray.init(where, **how, **({} if where else {"include_dashboard": False}))
    except Exception as error:  # Ray has no class of its own for it
        place = f"at {where}" if where else "on this machine"
        raise ConnectionError(f"Expected a Ray cluster {place}, got {type(error).__name__}: {_line(error)}") from error


def _settings(ray: Any, block: int) -> Any:
    """Give a copy of Ray Data's settings in which it prints nothing."""
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    settings = ray.data.DataContext.get_current().copy()
    settings.enable_progress_bars = settings.print_on_execution_start = False
    settings.target_max_block_size = block
    return settings


class _Said(io.TextIOBase):
    """Takes what is printed as news, see :mod:`.progress`."""

    def write(self, text: str) -> int:
        if line := " ".join(text.split()):
            LOGGER.info("%s", line)
        return len(text)


def _first(error: BaseException) -> BaseException:
    """Give the first error of a chain: Ray wraps what its workers meet."""
    while (inner := getattr(error, "cause", None) or error.__cause__) is not None:
        error = inner
    return error


def _line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "")
