"""What CLAP's audio network takes, run over its modules, against laion_clap's and transformers' own forward.

    uv run benchmarks/htsat.py [--rounds 20] [--batch 4]

HTSAT-tiny with fusion and random weights, the same in all three, on prepared mels of short sounds and of long ones,
which pass through the layers of fusion. All take turns in every round, on one thread; the time is that of the CPU, so
other work on the machine counts little. Needs the extra `laion`.
"""

import argparse
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import originals  # noqa: F401, lets laion_clap be imported without a network
import torch
from laion_clap.clap_module.htsat import create_htsat_model
from machine import machine
from torch import Tensor, nn
from transformers import ClapAudioConfig, ClapAudioModel

from torchmetrics_majorscore.encoders.htsat import HTSATOptions, WindowAttention, build_htsat, embed_mels
from torchmetrics_majorscore.encoders.laion import AUDIO, from_laion

CPU = torch.device("cpu")


def build() -> tuple[nn.Module, nn.Module, nn.Module]:
    """Build ours, laion_clap's and transformers' network with the same weights."""
    options = SimpleNamespace(
        model_name="tiny", class_num=527, mel_bins=64, sample_rate=48_000, window_size=1024, hop_size=480, fmin=50,
        fmax=14_000,
    )  # fmt: skip
    laion = create_htsat_model(options, enable_fusion=True, fusion_type="aff_2d")
    for name, parameter in laion.named_parameters():
        if parameter.ndim > 1 and "extractor" not in name:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    ours = build_htsat(HTSATOptions())
    renamed = from_laion({AUDIO + name: tensor for name, tensor in laion.state_dict().items()}, with_text=False)
    ours.load_state_dict({name.removeprefix(AUDIO): tensor for name, tensor in renamed.items()})
    theirs = ClapAudioModel(ClapAudioConfig(enable_fusion=True, fusion_type="aff_2d")).audio_encoder
    tensors = ours.state_dict()
    for name, module in ours.named_modules():
        if isinstance(module, WindowAttention):
            for kind in ("weight", "bias"):
                parts = tensors.pop(f"{name}.qkv.{kind}").chunk(3)
                tensors |= {f"{name}.self.{p}.{kind}": t for p, t in zip(("query", "key", "value"), parts, strict=True)}
                tensors[f"{name}.output.dense.{kind}"] = tensors.pop(f"{name}.proj.{kind}")
            table = "relative_position_bias_table"
            tensors[f"{name}.self.{table}"] = tensors.pop(f"{name}.{table}")
            tensors[f"{name}.self.relative_position_index"] = module.offsets()
    theirs.load_state_dict(tensors)
    return tuple(network.eval().requires_grad_(False) for network in (ours, laion, theirs))


def seconds(run: Callable[[], Tensor]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ours, laion, theirs = build()
    print("| sounds | network | ms of CPU each | share of laion_clap's, median (quartiles) | largest difference |")
    print("|---|---|---|---|---|")
    for what, channels in (("up to 10 s", 1), ("longer", 4)):
        mels = 15 * torch.randn(options.batch, channels, 1001, 64, generator=torch.Generator().manual_seed(0)) - 30
        longer = torch.full((options.batch, 1), channels == 4)
        inputs = {"mel_fusion": mels, "longer": longer[:, 0]}
        runs = {
            "laion_clap": lambda inputs=inputs: laion(inputs, device=CPU)["embedding"],
            "ours": lambda mels=mels: embed_mels(ours, mels),
            "transformers": lambda mels=mels, longer=longer: theirs(mels, is_longer=longer).pooler_output,
        }
        expected = runs["laion_clap"]()
        times = np.array([[seconds(run) for run in runs.values()] for _ in range(options.rounds + 2)])[2:]
        for column, (name, run) in enumerate(runs.items()):
            low, share, high = np.quantile(times[:, column] / times[:, 0], (0.25, 0.5, 0.75))
            each = 1000 * np.median(times[:, column]) / options.batch
            apart = (run() - expected).abs().max()
            print(f"| {what} | {name} | {each:.0f} | {share:.2f} ({low:.2f} to {high:.2f}) | {apart:.1e} |")
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
