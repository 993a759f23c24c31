"""What each kind of object of the embedded world sounds like: one event, as a short waveform.

A timbre is a function of time, the fundamental frequency, how long the object rings (1 for large ones, less for small
ones) and a random generator, from which it draws what differs between two objects of one kind.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Wave = NDArray[Any]  # float32; NumPy's own types cannot tell
Numbers = Sequence[float] | NDArray[Any]
Timbre = Callable[[Wave, float, float, np.random.Generator], Wave]
SAMPLE_RATE = 48_000
TAU = 2.0 * np.pi


def partials(t: Wave, frequencies: Numbers, gains: Numbers, decays: Numbers) -> Wave:
    """Sum decaying sines; ``decays`` are times in seconds to 1/e."""
    total = np.zeros_like(t)
    for frequency, gain, decay in zip(frequencies, gains, decays, strict=True):
        if frequency < SAMPLE_RATE / 2:
            total += np.float32(gain) * np.exp(-t / np.float32(decay)) * np.sin(np.float32(TAU * frequency) * t)
    return total


def glide(t: Wave, frequencies: Wave | NDArray[np.float64]) -> Wave:
    """Give the phase of a tone whose frequency in Hz changes over time."""
    return np.cumsum(frequencies * (TAU / SAMPLE_RATE)).astype(np.float32)


def envelope(t: Wave, attack: float, length: float) -> Wave:
    """Rise within ``attack`` seconds and fall to 0 at ``length``."""
    rise = np.clip(t / attack, 0.0, 1.0)
    shape: Wave = (rise * np.clip(1.0 - t / length, 0.0, 1.0) ** 0.7).astype(np.float32)
    return shape


def hiss(t: Wave, low: float, high: float, random: np.random.Generator) -> Wave:
    """Draw noise of unit power between two frequencies in Hz."""
    frequencies = np.fft.rfftfreq(len(t), 1.0 / SAMPLE_RATE).astype(np.float32)
    shape = 1.0 / (1.0 + (low / np.maximum(frequencies, 1.0)) ** 4) / (1.0 + (frequencies / high) ** 4)
    spectrum = torch.from_numpy(random.standard_normal((len(shape), 2), dtype=np.float32) * shape[:, None])
    noise = torch.fft.irfft(torch.view_as_complex(spectrum), len(t))
    scaled: Wave = (noise / noise.std().clamp(min=1e-6)).numpy()
    return scaled


def harmonics(phase: Wave, gains: Sequence[float]) -> Wave:
    """Sum the harmonics of a phase."""
    total = np.zeros_like(phase)
    for number, gain in enumerate(gains, start=1):
        total += np.float32(gain) * np.sin(np.float32(number) * phase)
    return total


def tilt(count: int, slope: float, random: np.random.Generator) -> list[float]:
    """Draw gains of harmonics that fall as 1 / n**slope, each up to 4 dB off."""
    return [number**-slope * 10 ** (random.uniform(-4, 4) / 20) for number in range(1, count + 1)]


def anvil(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A bright clank."""
    ratios = np.array([1.0, 1.51, 2.26, 2.93, 3.71]) * random.uniform(0.97, 1.03, 5)
    click = hiss(t, 3000, 12_000, random) * np.exp(-t / 0.006)
    return partials(t, 1100 * f * ratios, tilt(5, 0.3, random), ring * random.uniform(0.04, 0.1, 5)) + click


def bell(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A ringing bell with a minor third."""
    ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.67]) * random.uniform(0.995, 1.005, 6)
    return partials(t, 520 * f * ratios, tilt(6, 0.6, random), ring * np.array([0.5, 0.45, 0.3, 0.25, 0.2, 0.12]))


def bird(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """Two upward chirps."""
    length, rise = 0.10 * random.uniform(0.8, 1.2), random.uniform(1.4, 1.9)
    total = np.zeros_like(t)
    for start in (0.0, 0.12):
        own = np.clip((t - start) / length, 0.0, 1.0)
        total += np.sin(glide(t, 2400 * f * rise**own)) * np.sin(np.pi * own).clip(0.0) ** 0.5
    return total


def cat(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A meow: a pitch that rises and falls, and an opening mouth."""
    length = 0.28 * random.uniform(0.85, 1.15)
    own = np.clip(t / length, 0.0, 1.0)
    phase = glide(t, 420 * f * (1.0 + random.uniform(0.25, 0.5) * np.sin(np.pi * own)))
    centre = 2.0 + 3.0 * np.sin(np.pi * own)
    gains = [np.exp(-(((number - centre) / 1.5) ** 2)).astype(np.float32) for number in range(1, 9)]
    voice = sum((gain * np.sin(np.float32(n) * phase) for n, gain in enumerate(gains, 1)), np.zeros_like(t))
    return (voice * np.sin(np.pi * own).clip(0.0) ** 0.6).astype(np.float32)


def clock(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A dry tick."""
    tick = partials(t, 2100 * f * np.array([1.0, 1.9]), [1.0, 0.5], [0.006, 0.004])
    return tick + 0.3 * hiss(t, 4000, 9000, random) * np.exp(-t / 0.003)


def cricket(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """Four short pulses of a high tone."""
    rate = random.uniform(38, 48)
    pulses = (np.sin(np.pi * t * rate) ** 2) ** 2 * (t < 4 / rate)
    return (np.sin(np.float32(TAU * 4200 * f**0.6) * t) * pulses).astype(np.float32)


def drum(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A thump whose pitch drops, and a slap."""
    phase = glide(t, 85 * f * (1.0 + random.uniform(0.8, 1.4) * np.exp(-t / 0.03)))
    body = np.sin(phase) * np.exp(-t / np.float32(0.14 * ring))
    return body + random.uniform(0.15, 0.35) * hiss(t, 300, 2500, random) * np.exp(-t / 0.02)


def engine(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A rough rev."""
    length = 0.30 * random.uniform(0.85, 1.15)
    own = np.clip(t / length, 0.0, 1.0)
    phase = glide(t, 60 * f * (1.0 + random.uniform(0.5, 0.9) * np.sin(np.pi * own)))
    rough = harmonics(phase, tilt(14, 0.6, random)) + 0.5 * np.sin(0.5 * phase)
    return (rough * (1.0 + 0.4 * hiss(t, 20, 400, random)) * envelope(t, 0.03, length)).astype(np.float32)


def fountain(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A splash: bubbles that rise in pitch, and spray."""
    total = 0.25 * hiss(t, 1500, 7000, random) * envelope(t, 0.02, 0.25)
    for start in np.sort(random.uniform(0.0, 0.2, 9)):
        own = np.clip(t - start, 0.0, None)
        pitch = 900 * f * random.uniform(0.7, 1.5) * (1.0 + 8.0 * own)
        total += (t >= start) * np.sin(glide(t, pitch)) * np.exp(-own / 0.02)
    return total.astype(np.float32)


def flute(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A breathy tone."""
    shape = envelope(t, 0.04, 0.30 * random.uniform(0.85, 1.15))
    phase = glide(t, 780 * f * (1.0 + 0.006 * np.sin(TAU * random.uniform(4.5, 6.5) * t)))
    return (harmonics(phase, [1.0, 0.25, 0.08]) + 0.08 * hiss(t, 600 * f, 4000 * f, random)) * shape


def frog(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A croak: a buzz with two formants."""
    length = 0.20 * random.uniform(0.85, 1.15)
    pulse = np.sin(np.pi * t * random.uniform(45, 60)) ** 8
    tone = np.sin(np.float32(TAU * 560 * f) * t) + 0.6 * np.sin(np.float32(TAU * 1350 * f) * t)
    return (tone * pulse * envelope(t, 0.01, length)).astype(np.float32)


def guitar(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A plucked string; high harmonics die first."""
    numbers = np.arange(1, 13)
    stretch = numbers * (1.0 + 0.0004 * numbers**2) * 190 * f
    return partials(t, stretch, tilt(12, 0.8, random), ring * 0.35 / (1.0 + 0.25 * numbers))


def horn(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A brassy blast."""
    phase = glide(t, 230 * f * (1.0 - 0.05 * np.exp(-t / 0.03)))
    return harmonics(phase, tilt(16, 0.35, random)) * envelope(t, 0.02, 0.28 * random.uniform(0.85, 1.15))


def rattle(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """Bursts of high noise."""
    grains = np.sin(np.pi * t * random.uniform(20, 28)) ** 4
    return hiss(t, 3800 * f**0.7, 9000 * f**0.7, random) * grains * envelope(t, 0.01, 0.18 * random.uniform(0.8, 1.2))


def robot(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """Square beeps that jump in pitch, ring-modulated."""
    step = np.where(t < 0.09, 1.0, random.choice([0.75, 1.33]))
    square = np.tanh(4.0 * np.sin(glide(t, 610 * f * step)))
    return (square * np.sin(np.float32(TAU * random.uniform(60, 90)) * t) * (t < 0.18)).astype(np.float32)


def siren(t: Wave, f: float, ring: float, random: np.random.Generator) -> Wave:
    """A wail up and down."""
    length = 0.33 * random.uniform(0.9, 1.1)
    own = np.clip(t / length, 0.0, 1.0)
    phase = glide(t, 650 * f * (1.0 + random.uniform(0.6, 0.9) * np.sin(np.pi * own)))
    return harmonics(phase, [1.0, 0.1, 0.35, 0.05, 0.15]) * envelope(t, 0.03, length)


TIMBRES: dict[str, Timbre] = {
    timbre.__name__: timbre
    for timbre in (
        anvil, bell, bird, cat, clock, cricket, drum, engine, fountain, flute, frog, guitar, horn, rattle, robot, siren,
    )
}  # fmt: skip
