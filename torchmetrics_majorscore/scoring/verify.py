"""Check real weights: the three samples of C-MCR's repository must give the tables that the READMEs print."""

from pathlib import Path

import torch
from torch import Tensor

from torchmetrics_majorscore.encoders import load_encoder
from torchmetrics_majorscore.encoders.base import exact_float32
from torchmetrics_majorscore.encoders.download import download
from torchmetrics_majorscore.encoders.public import Checkpoint
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.media import read_frames, read_waveform

CAPTIONS = {"toilet": "a toilet", "BBQ": "BBQ", "train": "a train"}
BLOBS = {
    "BBQ.jpeg": "6f65f8e4136805451969fb4783a29b816308d77a",
    "BBQ.wav": "f97828ec52a3ebe2a955d10bda92afc4ecdd1a95",
    "toilet.jpeg": "24a9a5dc80d9db89eaba6f21593d8b5ef9455822",
    "toilet.wav": "724291cde741631f949969270ad5d1b078750ee7",
    "train.jpeg": "47b3a81631addeee2172714bd2c1df0d7e9c4aeb",
    "train.wav": "17b79ad2b1da7307b8eddbc0cc7cba7c74e54f50",
}
# softmax(10 * cosine) by row, as printed in the READMEs of MCR-PEFT/C-MCR and MCR-PEFT/Ex-MCR, of the same samples.
EXPECTED = {
    "c-mcr": {
        "video x text": [[0.9681, 0.0219, 0.0100], [0.0403, 0.9398, 0.0199], [0.0045, 0.0044, 0.9910]],
        "audio x text": [[0.9937, 0.0028, 0.0035], [0.0337, 0.9434, 0.0229], [0.0813, 0.0253, 0.8934]],
        "audio x video": [[0.9712, 0.0079, 0.0208], [0.0628, 0.8966, 0.0406], [0.0322, 0.0062, 0.9616]],
    },
    "ex-mcr": {
        "video x text": [[0.5737, 0.2242, 0.2021], [0.2454, 0.4756, 0.2790], [0.2541, 0.2530, 0.4929]],
        "audio x text": [[0.9115, 0.0369, 0.0516], [0.1443, 0.7265, 0.1292], [0.1000, 0.0960, 0.8040]],
        "audio x video": [[0.9060, 0.0329, 0.0611], [0.0743, 0.8742, 0.0515], [0.0648, 0.0227, 0.9126]],
    },
}
# The tables have four digits; the JPEG decoder (ffmpeg here, PIL there) moves a cosine by some 1e-4.
TOLERANCE = 0.005


def verify_weights(
    weights: str | Path | None = None, samples: Path | None = None, name: str = "c-mcr"
) -> dict[str, tuple[Tensor, float]]:
    """Encode the three C-MCR samples and compare with the published table.

    Args:
        weights: folder of checkpoints, or None; see :func:`.load_encoder`.
        samples: folder with ``toilet``, ``BBQ`` and ``train`` as ``.jpeg`` and ``.wav``; None downloads them.
        name: of the encoder, one of :data:`EXPECTED`.

    Returns:
        For each of the three tables, ours (3, 3) and its largest difference from the published one.

    Raises:
        FileNotFoundError: weights or samples are missing and cannot be downloaded.
    """
    cpu = torch.device("cpu")
    encoder = load_encoder(name, weights=weights)
    waveforms = [read_waveform(_sample(f"{what}.wav", samples)) for what in CAPTIONS]
    with exact_float32(cpu):
        audio = [resample(waveform.mean(dim=0), rate, encoder.sample_rate) for waveform, rate in waveforms]
    embeddings = {
        "video": encoder.encode("video", [read_frames(_sample(f"{what}.jpeg", samples)) for what in CAPTIONS], cpu),
        "text": encoder.encode("text", list(CAPTIONS.values()), cpu),
        "audio": encoder.encode("audio", audio, cpu),
    }
    results = {}
    for pair, expected in EXPECTED[name].items():
        one, other = (embeddings[modality] for modality in pair.split(" x "))
        ours = torch.softmax(10.0 * one @ other.T, dim=-1)
        results[pair] = (ours, (ours - torch.tensor(expected)).abs().max().item())
    return results


def _sample(name: str, folder: Path | None) -> Path:
    if folder is not None:
        return folder / name
    home = "https://raw.githubusercontent.com/MCR-PEFT/C-MCR"
    revision = "038dec166e6f7a1900b383040f9265c05cf8dcfd"
    return download(Checkpoint((name,), home, revision, f"assets/{name}", git_blob=BLOBS[name]))
