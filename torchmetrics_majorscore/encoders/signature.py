"""The line to publish beside a number: every choice that moves it."""

from collections.abc import Iterable, Sequence

from torchmetrics_majorscore.encoders.shared import SharedEncoder


def signature(
    kind: str, encoders: Sequence[SharedEncoder], pairs: Iterable[tuple[str, str]], choices: Sequence[str] = ()
) -> str:
    """Write the signature of a score, as sacreBLEU does; builds the encoders.

    Args:
        kind: the score's name.
        encoders: those of its spaces; none for given embeddings.
        pairs: whose similarities are used; none if that is left open.
        choices: what else moves the score.

    Returns:
        For example ``majorscore|enc:c-mcr@3f2a9c1d|pairs:video-text+text-audio|comb:average|fps:1|pool:after|v:0.1.0``,
        where ``fps:1`` is the rate at which frames are scored.
    """
    names = "+".join(encoder.name for encoder in encoders) or "given"
    chosen = "+".join(map("-".join, pairs))
    pools = dict.fromkeys(encoder.pool for encoder in encoders if encoder.pool)
    parts = [*([f"pairs:{chosen}"] if chosen else []), *choices]
    parts += [f"fps:{fps:g}" for fps in dict.fromkeys(encoder.fps for encoder in encoders)]
    parts += [f"pool:{pool.removesuffix('_head')}" for pool in pools if pool]
    parts += ["precision:bf16"] if any(encoder.precision == "bf16" for encoder in encoders) else []
    return signature_of(kind, names, parts)


def signature_of(kind: str, name: str, choices: Sequence[str]) -> str:
    """Write the signature of a score of what the network of that name made, see :func:`signature`."""
    from torchmetrics_majorscore import __version__

    return "|".join([kind, f"enc:{name}", *choices, f"v:{__version__}"])
