"""Fine-tune the generator of this package with MAJORScore as its reward, by gradients through mel and networks.

    python docs/reward_example.py [--steps 30] [--clips 16]

**A metric that a model is trained by measures nothing of that model any more**: it rises because it was asked to, by
whatever moves it, also by what nobody hears as better. So the example prints, beside the reward, what the reward knows
nothing of: time (DeSync and onsets). Divergence and distance come from the encoder of the reward, and so go along with
it, better or not. Report measures of another encoder, that took no part in training.

Generator, scenes and encoder are those of the embedded world, so nothing is downloaded. Gradients pass through all of
Euler's steps, the autoencoder and the magnitudes of the vocoder.
"""

import argparse
import warnings

import torch

from torchmetrics_majorscore import MAJORScore, V2AMetrics
from torchmetrics_majorscore.training.generator.checkpoint import load_generator
from torchmetrics_majorscore.training.generator.clips import Clips, render_clips
from torchmetrics_majorscore.training.generator.data import Samples
from torchmetrics_majorscore.training.generator.flow import follow, guided
from torchmetrics_majorscore.training.generator.module import draw_noise
from torchmetrics_majorscore.training.generator.sounds import load_sounds
from torchmetrics_majorscore.training.generator.world import embed_scenes
from torchmetrics_majorscore.training.world.scene import Split, draw_scenes, unseen

BATCH, EULER_STEPS, GUIDANCE, RATE = 4, 5, 2.5, 2e-5
RAW = {"sample_rate": 48_000, "fps": 25.0}
SHOWN = ("majorscore_average", "fd_clap", "kl_zero_shot", "desync_tiny", "onset_f1")


def draw(split: Split, count: int) -> tuple[Clips, Samples]:
    """Draw clips, those of "train" out of combinations that the generator knows, with the features it takes."""
    known = torch.tensor(unseen(split))
    scenes = draw_scenes(known[torch.randperm(len(known))[:count]].tolist(), 0, split)
    return render_clips(scenes, split), Samples([embed_scenes(scenes, split)])


def main() -> None:
    """Train, and print what clips that were trained on and others reach."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30, help="of the optimizer (default %(default)s)")
    parser.add_argument("--clips", type=int, default=16, help="of either kind (default %(default)s)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", ".* vectors of .* do not span")

    torch.manual_seed(0)
    drawn = {"trained on": draw("train", options.clips), "others": draw("test", options.clips)}
    network, sounds = load_generator().requires_grad_(True), load_sounds()
    reward = MAJORScore(encoder="c-mcr-tiny", **RAW)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)

    def generate(samples: Samples, rows: list[int], noise: torch.Tensor) -> torch.Tensor:
        latents = follow(guided(network, samples.batch(rows).prompt, GUIDANCE), noise[rows], EULER_STEPS)
        return sounds.decode(network.restore(latents))

    def show(when: str) -> None:
        for name, (clips, samples) in drawn.items():
            metrics = V2AMetrics("c-mcr-tiny", onsets="strict", **RAW)
            noise = draw_noise(clips.ids, 100, network.sizes.latent)
            with torch.no_grad():
                made = generate(samples, list(range(options.clips)), noise)
            video, text = list(clips.frames), list(clips.captions)
            metrics.update(video=video, text=text, audio=made, target_audio=clips.sounds, ids=clips.ids)
            values = metrics.compute()
            print(f"{when}, {name}: " + ", ".join(f"{one} {values[one]:.3f}" for one in SHOWN), flush=True)

    show("before")
    clips, samples = drawn["trained on"]
    for _ in range(options.steps):
        rows = torch.randperm(options.clips)[:BATCH].tolist()
        made = generate(samples, rows, torch.randn(options.clips, 100, network.sizes.latent))
        shown = {"video": [clips.frames[row] for row in rows], "text": [clips.captions[row] for row in rows]}
        loss = -reward.score(**shown, audio=made, differentiable=True).nanmean()  # one without a value teaches nothing
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    show("after")


if __name__ == "__main__":
    main()
