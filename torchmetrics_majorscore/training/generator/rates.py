"""How many tokens each stream has per second, and whether lengths are those of one duration."""

from dataclasses import dataclass

SEGMENT = 0.64
"""Seconds of 16 frames at 25 per second: what a stream of segments may lack at the end."""


@dataclass(frozen=True)
class Rates:
    """Tokens per second; the defaults are those of MMAudio-S-16kHz.

    Args:
        latent: of the sound's latent.
        clip: of the features of frames.
        sync: of the synchronisation features.
    """

    latent: float = 31.25
    clip: float = 8.0
    sync: float = 24.0

    def check(self, latent: int, clip: int, sync: int) -> None:
        """Refuse lengths that are of no duration.

        Args:
            latent: tokens of the latent.
            clip: tokens of the frames; 0 for samples without video.
            sync: tokens of the synchronisation features.

        Raises:
            ValueError: one stream lasts more than a segment of video longer than another.
        """
        rates = {"latent": self.latent, "clip": self.clip, "sync": self.sync}
        lengths = {"latent": latent, "clip": clip, "sync": sync}
        seconds = {name: length / rates[name] for name, length in lengths.items() if length}
        if max(seconds.values()) - min(seconds.values()) > SEGMENT + 1e-6:
            listed = ", ".join(f"{name} {s:.2f} s ({lengths[name]} at {rates[name]:g})" for name, s in seconds.items())
            raise ValueError(f"Expected lengths of one duration, got {listed}; are the rates those of the features?")
