"""A video-to-audio generator as MMAudio's (Cheng et al., CVPR 2025): its blocks, its network, its flow, its training."""

__all__: list[str] = []
