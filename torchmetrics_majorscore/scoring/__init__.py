"""Clips on disk to rows: score, embed, the protocol."""

__all__: list[str] = []
