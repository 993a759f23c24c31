"""Fine-tune a generator of sound with MAJORScore as its reward, by gradients through mel and networks.

    python docs/reward_example.py [--steps 40]

**A metric that a model is trained by measures nothing of that model any more**: it rises because it was asked to, by
whatever moves it, also by what nobody hears as better. So the example prints, beside the reward, what the reward knows
nothing of: how far the sound is from the true one. Report such a measure, or an encoder that took no part in training.

The generator is a stand-in, the true sound under noise, and what is trained is small: an equaliser that sees the clip
and sets the level of 24 bands. Clips and encoder are those of the embedded world, so nothing is downloaded.
"""

import argparse

import torch
from example_clips import FPS, SAMPLE_RATE, generate, make_clips
from torch import Tensor, nn

from torchmetrics_majorscore import MAJORScore, load_encoder

BANDS, SEEN, BATCH = 24, 8, 4  # the last five of the 13 clips are not trained on


class Equaliser(nn.Module):
    """Sounds (B, S) and what is seen of their clips (B, 128) to sounds; at first it changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.Linear(128, BANDS)
        nn.init.zeros_(self.levels.weight)
        nn.init.zeros_(self.levels.bias)

    def forward(self, sounds: Tensor, seen: Tensor) -> Tensor:
        """Scale each band of a spectrum, smoothly from one to the next; the loudness stays."""
        spectrum = torch.fft.rfft(sounds)
        levels = nn.functional.interpolate(self.levels(seen)[:, None], spectrum.shape[-1], mode="linear")[:, 0]
        changed = torch.fft.irfft(spectrum * levels.exp(), n=sounds.shape[-1])
        return changed * (sounds.norm(dim=-1) / changed.norm(dim=-1))[:, None]


def distance(sounds: Tensor, true: Tensor) -> float:
    """Give the mean distance of log spectra in dB."""
    window = torch.hann_window(1024)
    one, other = (torch.stft(x, 1024, window=window, return_complex=True).abs() + 1e-3 for x in (sounds, true))
    return (20 * (one / other).log10()).square().mean(dim=1).sqrt().mean().item()


def main() -> None:
    """Train, and print reward and distance of clips that were trained on and of others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="of the optimizer (default %(default)s)")
    steps = parser.parse_args().steps

    clips = make_clips()
    video, true = (torch.stack([clip[name] for clip in clips]) for name in ("video", "audio"))
    text, sounds = [clip["text"] for clip in clips], generate({"ids": [c["ids"] for c in clips], "audio": true})
    seen = load_encoder("clip-tiny").encode("video", list(video), torch.device("cpu"))
    reward = MAJORScore(encoder="c-mcr-tiny", sample_rate=SAMPLE_RATE, fps=FPS)
    equaliser = Equaliser()
    optimizer = torch.optim.Adam(equaliser.parameters(), lr=0.02)

    def show(when: str) -> None:
        with torch.no_grad():
            heard = equaliser(sounds, seen)
            scores = reward.score(video=video, text=text, audio=heard)
        for name, part in (("trained on", slice(SEEN)), ("others", slice(SEEN, None))):
            print(f"{when}, {name}: reward {scores[part].mean():.3f}, {distance(heard[part], true[part]):.1f} dB off")

    show("before")
    for step in range(steps):
        rows = [(step * BATCH + place) % SEEN for place in range(BATCH)]
        heard = equaliser(sounds[rows], seen[rows])
        scores = reward.score(video=video[rows], text=[text[row] for row in rows], audio=heard, differentiable=True)
        loss = -scores.nanmean()  # a sample without a value, a silent one say, teaches nothing
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    show("after")


if __name__ == "__main__":
    main()
