"""How a command ends: the exit codes of all commands, and one line for whatever stopped it."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable

from torchmetrics_majorscore.cli.printing import Output

DONE = 0
PARTLY = 1
NOTHING = 2
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells count
CLOSED = 141  # 128 and the number of SIGPIPE
EPILOG = """exit codes of all commands:
  0    done
  1    partly failed: clips without a value, in whole or in part, or weights that are not the published ones
  2    nothing could be done, or a mistake in the command line
  130  interrupted
  141  the reader of the output had gone"""


def end(run: Callable[[argparse.Namespace, Output], int], options: argparse.Namespace, out: Output) -> int:
    """Run a command to its end, whatever that is.

    Args:
        run: the command.
        options: of the command; ``again`` says what the same command does after it was interrupted.
        out: what it prints to.

    Returns:
        Its exit code.
    """
    try:
        code = run(options, out)
        out.close()
    except BrokenPipeError:
        # Else the interpreter meets the closed pipe again when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    except (KeyboardInterrupt, SystemExit) as stopped:
        # Lightning turns Ctrl-C into sys.exit(1).
        if isinstance(stopped, SystemExit) and not isinstance(stopped.__context__, KeyboardInterrupt):
            raise
        out.error(f"interrupted; {options.again.format(**vars(options))}")
        return INTERRUPTED
    except (OSError, ValueError, ModuleNotFoundError) as error:
        out.error(describe(error))
        return NOTHING
    except Exception as error:
        traceback.print_exc()
        out.error(f"this is a fault of majorscore, please report it: {type(error).__name__}")
        return NOTHING
    return code


def describe(error: Exception) -> str:
    """Say in one line what went wrong: of an error of the system the file and its reason."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'standard output'}: {error.strerror}"
    return " ".join(str(error).split())
