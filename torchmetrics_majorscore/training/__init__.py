"""Learning a joint space: the connector, and the embedded world with its tiny encoders."""
