"""Whether a stream tells which pictures no later one refers to, so that they can be left out."""

from __future__ import annotations

from typing import Any

from torchmetrics_majorscore.media.av1 import is_av1, read_sequence

_SPS = 33


def are_known(stream: Any) -> bool:
    """Tell whether leaving out such pictures changes no bit of the others.

    In H.264 each packet says whether later pictures refer to its own. In HEVC it says so for those of its own temporal
    layer, which is all if there is one layer. For AV1 see :mod:`.av1`. In VP9 such a picture may leave probabilities
    and motion behind, and the decoders of other codecs were not looked at.

    Args:
        stream: of pictures.
    """
    name = stream.codec_context.codec.canonical_name
    extradata = stream.codec_context.extradata
    if name == "hevc":
        return has_one_layer(extradata)
    return bool(name == "h264" or (is_av1(stream) and read_sequence(extradata)))


def has_one_layer(extradata: bytes | None) -> bool:
    """Tell whether all sequence headers of an HEVC stream, as containers hold them (``hvcC``), have one layer.

    Source: ISO/IEC 14496-15, 8.3.3.1, and ITU-T H.265, 7.3.2.2.
    """
    data, layers = extradata or b"", []
    try:
        if data[0] != 1:
            return False
        place = 23
        for _ in range(data[22]):
            kind, count = data[place] & 63, int.from_bytes(data[place + 1 : place + 3], "big")
            place += 3
            for _ in range(count):
                size = int.from_bytes(data[place : place + 2], "big")
                if kind == _SPS:
                    layers.append((data[place + 4] >> 1 & 7) + 1)
                place += 2 + size
    except IndexError:
        return False
    return bool(layers) and set(layers) == {1}
