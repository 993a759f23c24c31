"""What a scene of the embedded world sounds like: events of its object, the place around them, and noise."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from torchmetrics_majorscore.training.world.scene import SECONDS, Scene, in_threads
from torchmetrics_majorscore.training.world.timbres import SAMPLE_RATE, TIMBRES, Wave, hiss

SAMPLES = int(SECONDS * SAMPLE_RATE)
EVENT_SECONDS = {"slow": 0.8, "fast": 0.35}
PEAK_DB = {"quiet": -22.0, "loud": -8.0}
AMBIENCE_DB = {"cave": -42.0, "rain": -35.0, "sea": -31.0}


def render_sounds(scenes: Sequence[Scene]) -> Tensor:
    """Render the sounds of scenes, each by its own random numbers.

    Args:
        scenes: what is heard; colour and companion make no sound.

    Returns:
        Mono waveforms at 48 kHz, float32, (N, 192000), in [-1, 1].
    """
    return torch.stack([torch.from_numpy(sound) for sound in in_threads(_render, scenes)])


def _render(scene: Scene) -> Wave:
    random = scene.random("sound")
    sound = _object(scene, random)
    sound *= _gain(PEAK_DB[scene.volume] + random.uniform(-2, 2)) / max(float(np.abs(sound).max()), 1e-6)
    if scene.place == "cave":
        sound = _reverb(sound, random)
    sound += _ambience(scene.place, random)
    noise = random.standard_normal(SAMPLES, dtype=np.float32)
    drawn = random.uniform(25.0, 45.0)
    snr = drawn if scene.noise_db is None else scene.noise_db
    sound += noise * np.float32(np.sqrt(np.mean(sound**2)) * _gain(-snr))
    sound *= np.float32(min(1.0, 0.99 / float(np.abs(sound).max())))
    return sound


def _object(scene: Scene, random: np.random.Generator) -> Wave:
    """Place one event after the other; each is a little off the first in loudness."""
    semitones = (12.0 if scene.size == "small" else -2.0) + random.uniform(-3.0, 3.0)
    ring = (0.6 if scene.size == "small" else 1.0) * random.uniform(0.85, 1.15)
    t = np.arange(int(EVENT_SECONDS[scene.tempo] * SAMPLE_RATE), dtype=np.float32) / np.float32(SAMPLE_RATE)
    event = TIMBRES[scene.kind](t, 2.0 ** (semitones / 12.0), ring, random).astype(np.float32)
    event *= np.clip((t[-1] - t) / 0.02, 0.0, 1.0)  # no click where the event is cut
    total = np.zeros(SAMPLES, dtype=np.float32)
    for time in scene.events():
        start, gain = round(time * SAMPLE_RATE), np.float32(_gain(random.uniform(-1.5, 0.0)))
        first, last = max(start, 0), min(start + len(event), SAMPLES)
        if first < last:
            total[first:last] += gain * event[first - start : last - start]
    return total


def _reverb(sound: Wave, random: np.random.Generator) -> Wave:
    """Convolve with decaying noise, as the walls of a cave answer."""
    length = int(1.2 * SAMPLE_RATE)
    t = np.arange(length, dtype=np.float32) / np.float32(SAMPLE_RATE)
    answer = random.standard_normal(length, dtype=np.float32) * np.exp(-t / np.float32(random.uniform(0.12, 0.22)))
    answer *= np.float32(random.uniform(0.5, 0.9) / np.sqrt(np.sum(answer**2)))
    size = 2**18
    spectra = [torch.fft.rfft(torch.from_numpy(part), size) for part in (sound, answer)]
    mixed: Wave = sound + torch.fft.irfft(spectra[0] * spectra[1], size)[:SAMPLES].numpy()
    return mixed


def _ambience(place: str, random: np.random.Generator) -> Wave:
    t = np.arange(SAMPLES, dtype=np.float32) / np.float32(SAMPLE_RATE)
    if place == "rain":
        bed = hiss(t, 900.0, random.uniform(7000, 10_000), random) + 0.5 * _drops(random, 60, 4000.0)
    elif place == "sea":
        swell = 0.55 + 0.45 * np.sin(2 * np.pi * (random.uniform(0.15, 0.35) * t + random.uniform()))
        bed = hiss(t, 80.0, random.uniform(500, 900), random) * swell.astype(np.float32)
    else:
        bed = hiss(t, 30.0, 120.0, random) + 2.0 * _drops(random, 3, 1800.0)
    scaled: Wave = bed * np.float32(_gain(AMBIENCE_DB[place] + random.uniform(-3, 3)))
    return scaled


def _drops(random: np.random.Generator, count: int, pitch: float) -> Wave:
    total = np.zeros(SAMPLES, dtype=np.float32)
    t = np.arange(2000, dtype=np.float32) / np.float32(SAMPLE_RATE)
    for start in random.integers(0, SAMPLES - len(t), count):
        frequency = np.float32(2 * np.pi * pitch * random.uniform(0.7, 1.4))
        total[start : start + len(t)] += 6.0 * np.sin(frequency * t) * np.exp(-t / np.float32(0.008))
    return total


def _gain(decibels: float) -> float:
    return float(10.0 ** (decibels / 20.0))
