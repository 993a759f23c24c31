"""CLIP's ResNet, the small picture tower of ``c-mcr-tiny``: modules with the names of open_clip's tensors.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021, 2.4.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import multi_head_attention_forward, relu

EXPANSION = 4
HEAD_WIDTH = 64


class Bottleneck(nn.Module):
    """Three convolutions beside a short cut; a stride is an average pooling in front of one with stride 1.

    Args:
        channels: that come in.
        planes: in the middle; four times as many go out.
        stride: in both directions.
    """

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        out = EXPANSION * planes
        self.conv1, self.bn1 = nn.Conv2d(channels, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False), nn.BatchNorm2d(planes)
        self.avgpool: nn.Module = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3, self.bn3 = nn.Conv2d(planes, out, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or channels != out:
            layers = {"-1": nn.AvgPool2d(stride), "0": nn.Conv2d(channels, out, 1, bias=False)}
            self.downsample = nn.Sequential(OrderedDict[str, nn.Module]({**layers, "1": nn.BatchNorm2d(out)}))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W)."""
        out = relu(self.bn1(self.conv1(x)))
        out = self.avgpool(relu(self.bn2(self.conv2(out))))
        return relu(self.bn3(self.conv3(out)) + self.downsample(x))


class AttentionPool(nn.Module):
    """Pool a map by the attention of its mean to all of its places.

    Args:
        side: height and width of the map.
        channels: of the map.
        heads: attention heads.
        dim: width of the embedding.
    """

    def __init__(self, side: int, channels: int, heads: int, dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.zeros(side**2 + 1, channels))
        self.k_proj, self.q_proj = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.v_proj, self.c_proj = nn.Linear(channels, channels), nn.Linear(channels, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, side, side) to (B, dim)."""
        x = x.flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(dim=0, keepdim=True), x]) + self.positional_embedding[:, None].to(x.dtype)
        q, k, v = self.q_proj, self.k_proj, self.v_proj
        mixed, _ = multi_head_attention_forward(
            x, x, x, x.shape[-1], self.heads,
            in_proj_weight=None, in_proj_bias=torch.cat([q.bias, k.bias, v.bias]),
            bias_k=None, bias_v=None, add_zero_attn=False, dropout_p=0.0,
            out_proj_weight=self.c_proj.weight, out_proj_bias=self.c_proj.bias,
            training=False, need_weights=False, use_separate_proj_weight=True,
            q_proj_weight=q.weight, k_proj_weight=k.weight, v_proj_weight=v.weight,
        )  # fmt: skip
        return mixed[0]


class ResNet(nn.Module):
    """CLIP's ResNet: a stem of three convolutions, four stages, :class:`AttentionPool`.

    Args:
        dim: width of the embedding.
        layers: blocks of each of the four stages.
        width: channels behind the stem.
        image_size: height and width of a picture in pixels.
    """

    def __init__(self, dim: int, layers: Sequence[int], width: int, image_size: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width // 2, 3, 2, 1, bias=False), nn.BatchNorm2d(width // 2)
        self.conv2, self.bn2 = nn.Conv2d(width // 2, width // 2, 3, 1, 1, bias=False), nn.BatchNorm2d(width // 2)
        self.conv3, self.bn3 = nn.Conv2d(width // 2, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.avgpool = nn.AvgPool2d(2)
        channels = width
        for stage, count in enumerate(layers):
            planes = width * 2**stage
            blocks = []
            for block in range(count):
                blocks.append(Bottleneck(channels, planes, stride=2 if stage and not block else 1))
                channels = EXPANSION * planes
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(layers)
        self.attnpool = AttentionPool(image_size // 32, channels, channels // HEAD_WIDTH, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised pictures (B, 3, H, W) to embeddings (B, dim), not normalised."""
        for number in (1, 2, 3):
            x = relu(getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x)))
        x = self.avgpool(x)
        for number in range(self.stages):
            x = getattr(self, f"layer{number + 1}")(x)
        out: Tensor = self.attnpool(x)
        return out
