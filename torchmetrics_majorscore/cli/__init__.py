"""The command ``majorscore``: one file per group of commands, each only parses, calls and prints."""

__all__: list[str] = []
