"""The embedded world: procedural, seeded scenes that can be seen, heard and described."""

__all__: list[str] = []
