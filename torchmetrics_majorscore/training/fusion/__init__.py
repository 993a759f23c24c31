"""Late fusion: heads on frozen backbones of up to four modalities, trained into one joint space."""

__all__: list[str] = []
