"""A short form of what a clip's values depend on, by which a clip that has changed is noticed."""

import hashlib


def digest(*parts: str) -> str:
    """Give 16 hexadecimal digits of the SHA-256 of some texts.

    Example:
        >>> digest("a caption", "12 bytes") == digest("a caption", "13 bytes")
        False
    """
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]
