"""Options that several commands share."""

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmetrics_majorscore.cli.printing import Output
from torchmetrics_majorscore.cli.progress import stage

if TYPE_CHECKING:
    from torchmetrics_majorscore.encoders import SharedEncoder
    from torchmetrics_majorscore.media import Manifest

DEFAULT = "c-mcr"

ENCODING = {"av": "media", "ftfy": "cmcr", "transformers": "cmcr", "safetensors": "cmcr"}
"""What every command that encodes clips needs, for :func:`.needs_extras`."""


def _said() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    how = parent.add_argument_group("output")
    loudness = how.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="only errors, and results that were asked for")
    loudness.add_argument("-v", "--verbose", action="store_true", help="also what is loaded, and how long it took")
    how.add_argument("--json", action="store_true", help="print one JSON object with the same numbers instead of text")
    return parent


SAID = _said()
"""Parent of the parsers of all commands: how much they say."""


def add_encoding(parser: argparse.ArgumentParser) -> None:
    """Add the options of everything that encodes clips."""
    encoder = "joint encoder: a name, or your own as package.module:factory (default: %(default)s)"
    parser.add_argument("--encoder", default=DEFAULT, help=encoder)
    parser.add_argument("--weights", help="folder of checkpoints, or 'seeded' for random ones (default: download)")
    pool = "mean over frames behind or in front of the head (default: %(default)s)"
    parser.add_argument("--pool", choices=("after_head", "before_head"), default="after_head", help=pool)
    precision = "of the networks; bf16 is faster where the processor knows it (default: %(default)s)"
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32", help=precision)
    track = "which of several sound tracks, counted from 0, where the manifest names none (default: the one flagged)"
    parser.add_argument("--audio-track", type=int, metavar="N", help=track)
    parser.add_argument("--batch-size", type=int, default=8, help="clips per encoder call (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="decoding threads (default: %(default)s)")
    parser.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")


def clips(options: argparse.Namespace, out: Output) -> "Manifest":
    """Read the manifest of a command that encodes its clips, and say what it leaves out."""
    from torchmetrics_majorscore.media import read_manifest

    others: tuple[str, ...] = ()
    if not has_baseline(options.encoder):
        from torchmetrics_majorscore.scoring.read import others_of

        others = others_of(joint_encoder(options).modalities)
    entries = read_manifest(options.manifest, options.folder, audio_track=options.audio_track, others=others)
    if left_out := entries.describe_left_out():
        out.record(left_out=entries.left_out)
        out.notes(left_out)
    return entries


def has_baseline(encoder: object) -> bool:
    """Tell whether this names an encoder with CLIPCLAP beside it, so one of video, text and audio; torch stays out."""
    from torchmetrics_majorscore.encoders.table import ENCODERS

    return isinstance(encoder, str) and encoder in ENCODERS and bool(ENCODERS[encoder].baseline)


def encoding(options: argparse.Namespace, baseline: bool) -> dict[str, Any]:
    """Give the options of :func:`add_encoding`, and the baseline, as :class:`.EncodeOptions` takes them.

    Raises:
        ValueError: what can be known to fail before anything heavy is imported.
    """
    if baseline and (options.encoder, options.weights) == ("c-mcr", "seeded"):
        raise ValueError(
            "Expected a folder of weights for the baseline, got 'seeded', which has no vocabulary of RoBERTa; write a "
            "folder that has one with `majorscore weights seeded FOLDER`."
        )
    rest = {name: getattr(options, name) for name in ("batch_size", "workers", "device")}
    return {"encoder": joint_encoder(options), "baseline": baseline, **rest}


def joint_encoder(options: argparse.Namespace) -> "SharedEncoder":
    """Give the encoder that was asked for, once."""
    if isinstance(options.encoder, str):
        with stage("loading torch"):
            from torchmetrics_majorscore.encoders import load_encoder
            from torchmetrics_majorscore.encoders.table import FAMILIES

        how = {name: getattr(options, name) for name in ("weights", "pool", "precision")}
        family, colon, _ = options.encoder.partition(":")
        own = colon and family not in FAMILIES
        try:
            options.encoder = load_encoder(own_encoder(options.encoder) if own else options.encoder, **how)
        except TypeError as error:
            raise ValueError(f"{options.encoder}: {error}") from error
    encoder: SharedEncoder = options.encoder
    return encoder


def own_encoder(place: str) -> Any:
    """Make the encoder at ``package.module:factory``, which may be an encoder itself; the working folder is searched.

    Raises:
        ValueError: there is no such module or name in it, or the factory fails.
    """
    module, _, name = place.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), name)
        return found() if isinstance(found, type) or not hasattr(found, "modalities") else found
    except Exception as error:  # whatever another's code meets
        raise ValueError(f"Expected an encoder like package.module:factory, got {place!r}: {error}") from error
    finally:
        sys.path.pop(0)


def add_pairs(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--pairs``."""
    pairs = "pairs of the MAJORScores: text, all, or like video-audio,text-audio (default: %(default)s)"
    parser.add_argument("--pairs", default="text", type=_pairs, help=pairs)


def _pairs(text: str) -> str | list[str]:
    return text.split(",") if "-" in text else text


def add_several(command: Any) -> None:
    """Add the tables that a command compares."""
    table = "table of majorscore score, or NAME=TABLE (default name: what tells the paths apart)"
    command.add_argument("tables", nargs="+", metavar="TABLE", help=table)


def add_column(command: Any) -> None:
    """Add the option ``--column``."""
    default = "majorscore_average"
    command.add_argument("--column", default=default, help="score of the table (default: %(default)s)")


def add_printed(command: Any) -> None:
    """Add the options of everything that prints columns with intervals."""
    command.add_argument("--columns", nargs="+", help="columns of the tables (default: all)")
    command.add_argument("--seed", type=int, default=0, help="of the intervals (default: %(default)s)")
    add_format(command)


def add_format(command: Any) -> None:
    """Add the option ``--format``."""
    # As in tables.render, which is not imported to parse.
    choices = ("markdown", "latex", "csv")
    command.add_argument("--format", choices=choices, default="markdown", help="of tables (default: %(default)s)")
