"""The config of a connector: options of the training, and a YAML file that names encoders and inputs as well.

``docs/connect.yaml`` explains the file.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from torchmetrics_majorscore.encoders import ENCODERS, SharedEncoder, load_encoder
from torchmetrics_majorscore.encoders.table import BACKBONES, find_encoder
from torchmetrics_majorscore.extras import needs_extra
from torchmetrics_majorscore.media import read_manifest
from torchmetrics_majorscore.media.far import Far

REQUIRED = ("clip", "clap", "texts", "images", "audios", "output")
MODALITIES = {"clip": ("video", "text"), "clap": ("text", "audio")}
Inter = Literal["text", "memory"]

_LOWEST = {"noise_variance": 0, "intra_weight": 0, "steps": 1, "batch_size": 2, "hidden": 1, "dim": 1, "seed": 0}


@dataclass(frozen=True)
class ConnectorOptions:
    """How a connector is trained. Temperatures, noise and weight are C-MCR's, steps and batch size our own.

    Args:
        temperature: of InfoNCE, above 0.
        memory_temperature: of the softmax over a memory, above 0; no effect without ``enhancement``.
        noise_variance: of each component, at least 0. The noise is sqrt(width * variance) long, so that 0.004 at 512
            dimensions is as strong as 0.016 at 128.
        intra_weight: of L_intra, at least 0.
        intra_squared: squared distances in L_intra; False is what the re-implementation does, plain ones.
        inter: terms of L_inter: ``"text"`` is InfoNCE(t^I, t^A), ``"memory"`` is InfoNCE(v, a).
        enhancement: v and a are weighted means of the memories; False takes the most similar item alone.
        steps: of the optimizer.
        batch_size: texts per step, at least 2; all of them if there are fewer.
        learning_rate: of AdamW, above 0; it decays to 0 along a cosine.
        hidden: width inside a head.
        dim: width of the joint space.
        seed: of weights, batches and noise.

    Raises:
        ValueError: a value out of its range.
    """

    temperature: float = 0.01
    memory_temperature: float = 0.01
    noise_variance: float = 0.004
    intra_weight: float = 0.1
    intra_squared: bool = True
    inter: tuple[Inter, ...] = ("text", "memory")
    enhancement: bool = True
    steps: int = 3_000
    batch_size: int = 4_096
    learning_rate: float = 1e-3
    hidden: int = 1024
    dim: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if wanted := _wanted(field.default, _LOWEST.get(field.name), value):
                raise ValueError(f"Expected {field.name} to be {wanted}, got {value!r}.")


def _wanted(default: Any, lowest: int | None, value: Any) -> str:
    """Say what an option should be, being of its default's kind; empty if it is."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "True or False"
    if isinstance(default, tuple):
        known = get_args(Inter)
        fits = isinstance(value, tuple) and value and all(i in known and value.count(i) == 1 for i in value)
        return "" if fits else f"some of {list(known)}, each once"
    kinds = (int,) if isinstance(default, int) else (int, float)
    fits = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    fits = fits and (value > 0 if lowest is None else value >= lowest)
    bound = "> 0" if lowest is None else f">= {lowest}"
    return "" if fits else f"{'an integer' if len(kinds) == 1 else 'a number'} {bound}"


class Piece(NamedTuple):
    """What is read of one file, for one modality: from ``start`` up to ``end``, in seconds."""

    path: Path
    start: float
    end: float | None


@dataclass(frozen=True)
class Config:
    """A config that was read and checked; no input file is open yet.

    Args:
        clip: encoder of texts and images.
        clap: encoder of texts and sounds.
        texts: each once.
        images: of pictures or videos.
        audios: of sound files, or of videos for their sound.
        output: folder for embeddings and heads.
        options: how to train.
    """

    clip: SharedEncoder
    clap: SharedEncoder
    texts: list[str]
    images: list[Piece]
    audios: list[Piece]
    output: Path
    options: ConnectorOptions


def read_config(path: Path) -> Config:
    """Read and check a YAML config.

    Args:
        path: of the config; relative paths in it start from its folder.

    Returns:
        The config; encoders are not built yet.

    Raises:
        FileNotFoundError: there is no such config.
        ValueError: a mistake in it: one line with the file and the key.
    """
    values = read_yaml(path)
    with in_config(path, ""):
        values = read_mapping(values, REQUIRED, ("recipe",))
    folder = path.parent
    encoders, inputs = {}, {}
    for key, needed in MODALITIES.items():
        with in_config(path, key):
            encoders[key] = read_encoder(values[key], [needed], folder)
            if encoders[key].fps != 1:
                raise ValueError(f"Expected an encoder that sees frames at 1 fps, got {values[key]['encoder']!r}.")
    for key, modality in (("texts", "text"), ("images", "video"), ("audios", "audio")):
        with in_config(path, key):
            inputs[key] = _inputs(values[key], modality, folder)
    with in_config(path, "output"):
        output = read_path(values["output"], folder)
    with in_config(path, "recipe"):
        options = _options({} if values.get("recipe") is None else values["recipe"])
    return Config(
        encoders["clip"], encoders["clap"], inputs["texts"], inputs["images"], inputs["audios"], output, options
    )


def read_yaml(path: Path) -> Any:
    """Read a YAML file; ValueError if it is none."""
    needs_extra("yaml", "lightning")
    import yaml  # type: ignore[import-untyped]

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"Expected YAML in {path}, got {' '.join(str(error).split())}") from error


@contextmanager
def in_config(path: Path, key: str) -> Iterator[None]:
    """Name the file and the key in every error, and make it a ValueError."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: {key + ': ' if key else ''}{error}") from error


def read_mapping(value: Any, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """Give a mapping with all required keys and no unknown one, or raise ValueError."""
    if not isinstance(value, dict):
        raise ValueError(f"Expected keys {', '.join((*required, *optional))}, got {value!r}.")
    for key in required:
        if value.get(key) is None:
            raise ValueError(f"Expected a value for {key}, got none.")
    for key in value:
        if key not in (*required, *optional):
            raise ValueError(f"Expected keys out of {', '.join((*required, *optional))}, got {key!r}.")
    return value


def read_encoder(value: Any, modalities: Sequence[tuple[str, ...]], folder: Path) -> SharedEncoder:
    """Give the named encoder that has one of some sets of modalities; ValueError if there is none."""
    entry = read_mapping(value, ("encoder",), ("weights",))
    known, named = ENCODERS | BACKBONES, str(entry["encoder"])
    able = [name for name, one in known.items() if any(set(own) <= set(one.modalities) for own in modalities)]
    of_family = set(find_encoder(named).modalities) if ":" in named else set()
    if named not in able and not any(set(own) <= of_family for own in modalities):
        raise ValueError(
            f"Expected encoder to be one of {able}, for {' and '.join(modalities[0])}, got {entry['encoder']!r}."
        )
    weights = entry.get("weights")
    folder_or_none = weights if weights in (None, "seeded") else read_path(weights, folder)
    encoder = load_encoder(named, weights=folder_or_none)
    if encoder.per_pair:
        raise ValueError(f"Expected an encoder with one embedding of each modality, got {named!r}.")
    return encoder


def read_path(value: Any, folder: Path) -> Path:
    """Give a path, relative to the config's folder."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"Expected a path, got {value!r}.")
    return folder / Path(value).expanduser()


def _inputs(value: Any, modality: str, folder: Path) -> list[Any]:
    """List the inputs of a modality, each once: texts, or pieces of its files."""
    found: dict[str | Piece, None] = {}
    for path in [read_path(item, folder) for item in (value if isinstance(value, list) else [value])]:
        if modality == "text" and path.suffix.lower() == ".txt":
            found.update(dict.fromkeys(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()))
            continue
        for entry in read_manifest(path):
            # The file of one modality alone: whatever else the manifest pairs with it is not looked at.
            source = entry.video if modality == "video" else entry.audio or entry.video
            if modality == "text":
                found[(entry.text or "").strip()] = None
            elif isinstance(source, Far):
                raise ValueError(f"Expected a file on this machine, got {source}.")
            elif source is not None:
                found[Piece(source, entry.start, entry.end)] = None
    found.pop("", None)
    if not found:
        raise ValueError(f"Expected at least one {modality}, got none in {value}.")
    return list(found)


def _options(value: Any) -> ConnectorOptions:
    names = [field.name for field in dataclasses.fields(ConnectorOptions)]
    return ConnectorOptions(**{name: from_yaml(option) for name, option in read_mapping(value, (), names).items()})


def from_yaml(value: Any) -> Any:
    """Take a list for a tuple, and a number such as 1e-3, which YAML takes for text, for the number."""
    try:
        return tuple(value) if isinstance(value, list) else float(value) if isinstance(value, str) else value
    except ValueError:
        return value
