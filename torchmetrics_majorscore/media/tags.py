"""Tags within a stream of sound: what stands between two mp3s that were joined by appending is no sound."""

from __future__ import annotations

_ID3V1, _LYRICS_END = 128, b"LYRICS200"


def is_tag(data: bytes) -> bool:
    """Tell whether bytes consist of whole tags (ID3v2, ID3v1, APEv2, Lyrics3) and the zeros that pad them.

    Args:
        data: Bytes in which a decoder found no sound.

    Returns:
        Whether nothing but tags is in them.
    """
    return bool(data) and not behind_tags(data)


def behind_tags(data: bytes) -> bytes:
    """Take whole tags, and the zeros that pad them, away from the front.

    Args:
        data: Bytes in which a decoder found no sound.

    Returns:
        What follows; all of it if it starts with no tag.
    """
    while (size := _tag_size(data)) and size <= len(data):
        data = data[size:].lstrip(b"\0")
    return data


def _tag_size(data: bytes) -> int:
    """Return the size of the tag that data starts with, 0 if it starts with none."""
    if data.startswith(b"ID3") and len(data) >= 10:
        # Seven bits of each byte; a footer is announced by a flag.
        size = sum((byte & 0x7F) << 7 * k for k, byte in enumerate(reversed(data[6:10])))
        return 10 + size + (10 if data[5] & 0x10 else 0)
    if data.startswith(b"APETAGEX") and len(data) >= 32:
        # The size counts the items and the footer; a header stands before it if its flag says so, and then comes first.
        return int.from_bytes(data[12:16], "little") + (32 if data[23] & 0x20 else 0)
    if data.startswith(b"LYRICSBEGIN") and _LYRICS_END in data:
        return data.index(_LYRICS_END) + len(_LYRICS_END)
    return _ID3V1 if data.startswith(b"TAG") else 0
