"""Learning a joint space: the connector, and the embedded world with its tiny encoders."""

__all__: list[str] = []
