"""Tables to figures, a gallery and one page."""

__all__: list[str] = []
