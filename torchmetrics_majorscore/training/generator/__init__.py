"""A video-to-audio generator as MMAudio's (Cheng et al., CVPR 2025): blocks, network, flow and training."""

__all__: list[str] = []
