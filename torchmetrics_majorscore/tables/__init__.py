"""Per-clip tables, embeddings, ratings and manifests: read, join, write."""

__all__: list[str] = []
