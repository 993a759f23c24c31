"""What commands show on stderr while they work: a bar or a spinner, warnings, and with ``--verbose`` each stage.

Any part of the package says what it begins through :mod:`logging`, at level INFO. The latest such record stands in the
spinner or beside the bar; where stderr is no terminal, it becomes a line once it has lasted. tqdm draws; without it
there are lines only.
"""

import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any

from torchmetrics_majorscore.cli.terminal import visible

LOGGER = logging.getLogger("torchmetrics_majorscore")
LIGHTNING = logging.getLogger("lightning.pytorch.utilities.rank_zero")
"""Says what the machine lacks, and advertises."""
TICK = 0.25  # seconds
PATIENCE = 1.0  # seconds


class Progress(logging.Handler):
    """The one place that writes to stderr; entered for the time of a command.

    Args:
        command: its name, for the spinner.
        quiet: whether nothing but errors is shown.
        verbose: whether every record is a line.
    """

    def __init__(self, command: str, quiet: bool, verbose: bool) -> None:
        super().__init__()
        self.quiet = quiet
        self.verbose = verbose
        self._begun = self._since = time.monotonic()
        self._doing = command
        self._said = True  # the command's own name is no news
        self._bar: Any = None
        self._drawn = not quiet and find_spec("tqdm") is not None
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._busy = threading.RLock()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record: a warning as a line, news as a line or beside the bar."""
        text = " ".join(record.getMessage().split())
        if record.levelno >= logging.WARNING:
            if not self.quiet:
                self.write(f"majorscore: {record.levelname.lower()}: {text}")
        elif self.verbose:
            self.write(f"{time.monotonic() - self._begun:7.1f} s  {text}")
        else:
            self._doing, self._since, self._said = text, time.monotonic(), False

    def write(self, line: str) -> None:
        """Write a line to stderr."""
        with self.aside():
            sys.stderr.write(f"{visible(line)}\n")

    def aside(self) -> AbstractContextManager[None]:
        """Take bar and spinner away for as long as something else is written."""
        if self._bar is None:
            return nullcontext()
        outside: AbstractContextManager[None] = self._bar.external_write_mode(file=sys.stderr)
        return outside

    @contextmanager
    def bar(self, total: int | None, unit: str) -> Iterator[Callable[[], object]]:
        """Show a bar; what is given is to be called for each of ``total`` things (None: unknown)."""
        if not self._drawn:
            yield lambda: None
            return
        from tqdm import tqdm

        with self._busy:
            self._close()
            # In a file, a line from time to time.
            often = 0.1 if sys.stderr.isatty() else 10.0
            self._bar = bar = tqdm(total=total, unit=unit, file=sys.stderr, mininterval=often)

        def advance() -> None:
            self._doing, self._said = "", True
            bar.update()

        try:
            yield advance
        finally:
            self._close()

    def __enter__(self) -> "Progress":
        """Take over warnings and log records, and begin to draw."""
        self._restored = LOGGER.level, warnings.showwarning
        logging.getLogger().addHandler(self)
        LOGGER.setLevel(logging.DEBUG if self.verbose else logging.INFO)
        LIGHTNING.setLevel(logging.INFO if self.verbose else logging.WARNING)
        warnings.showwarning = lambda message, *_, **__: LOGGER.warning("%s", message)
        if not self.quiet and not self.verbose:
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._ticker.is_alive():
            self._ticker.join()
        self._close()
        logging.getLogger().removeHandler(self)
        level, warnings.showwarning = self._restored
        LOGGER.setLevel(level)
        LIGHTNING.setLevel(logging.NOTSET)

    def _tick(self) -> None:
        while not self._over.wait(TICK):
            lasted = time.monotonic() - self._since
            with self._busy:
                if self._drawn and sys.stderr.isatty():
                    self._draw(lasted)
                elif not self._said and lasted > PATIENCE:
                    self._said = True
                    self.write(f"{self._doing} ...")

    def _draw(self, lasted: float) -> None:
        from tqdm import tqdm

        if self._bar is None and lasted > PATIENCE:
            self._bar = tqdm(bar_format="{desc}", leave=False, file=sys.stderr)
        if self._bar is not None:
            text = f"{visible(self._doing)}, {lasted:.0f} s" if self._doing else ""
            self._bar.set_description_str(text, refresh=True)

    def _close(self) -> None:
        with self._busy:
            bar, self._bar = self._bar, None
            if bar is not None:
                bar.set_description_str("", refresh=False)
                bar.close()


@contextmanager
def stage(text: str) -> Iterator[None]:
    """Say what is begun, and with ``--verbose`` how long it took."""
    begun = time.monotonic()
    LOGGER.info("%s", text)
    yield
    LOGGER.debug("%s took %.1f s", text, time.monotonic() - begun)
