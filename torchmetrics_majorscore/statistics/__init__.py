"""Arrays to numbers with intervals: balance, consistency, agreement, comparison, ranking."""

__all__: list[str] = []
