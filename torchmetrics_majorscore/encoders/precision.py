"""The precision in which a network runs: float32, or bfloat16 where it multiplies matrices."""

import warnings
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from torchmetrics_majorscore.encoders.table import Precision

MATRICES = (nn.Linear, nn.Conv2d, nn.MultiheadAttention)


class Tower(nn.Module):
    """A network between preparation and head, which stay in float32 in any precision; what CLIP and CLAP share."""

    network: Any
    precision: Precision = "float32"

    def use_bf16(self) -> None:
        """Keep the network's large matrices in bfloat16, so that they are not rounded anew at every call."""
        self.precision = "bf16"
        for module in self.network.modules():
            if isinstance(module, MATRICES):
                module.to(torch.bfloat16)

    def running(self) -> AbstractContextManager[None]:
        """Run the network within: in bfloat16 its products, while sums over layers and norms stay in float32."""
        device = next(self.network.parameters()).device
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")


def warn_if_slow(device: torch.device) -> None:
    """Warn of bfloat16 on a processor that has no instructions for it; what torch cannot tell is taken as fast."""
    known = torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
    instructions = [name for name in known if name.endswith("bf16")]
    if instructions and not any(known[name] for name in instructions):
        warnings.warn(
            "Expected a processor with bfloat16 instructions for precision='bf16', got one without "
            f"({', '.join(sorted(instructions))}): it is several times slower there than precision='float32'.",
            stacklevel=2,
        )


def use_bf16(encoder: nn.Module) -> None:
    """Let all towers of an encoder run in bfloat16; this cannot be undone."""
    for module in encoder.modules():
        if isinstance(module, Tower):
            module.use_bf16()
