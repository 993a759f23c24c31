"""Compare our encoders with the original implementations, both loaded from the same checkpoint files.

    uv run benchmarks/parity.py [--weights FOLDER] [--c-mcr CHECKOUT] [-o docs/parity.md]

Without ``--weights``, seeded random weights are written into a temporary folder (1.3 GB). ``--c-mcr`` names a checkout
of https://github.com/MCR-PEFT/C-MCR, whose class is then used for the heads; without it they are compared with their
formula in float64. Everything runs on the CPU, without a network.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import soundfile
import torch
from machine import versions
from originals import Originals, clap_module, picture, sound
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import clip, load_encoder
from torchmetrics_majorscore.encoders.checkpoints import find_weights
from torchmetrics_majorscore.encoders.resample import resample
from torchmetrics_majorscore.encoders.resize import prepare_frames
from torchmetrics_majorscore.encoders.seeded import write_seeded

SAMPLES = Path(__file__).resolve().parents[2] / "shared/cmcr"  # C-MCR's own three samples, used where they are present
SIZES = ((640, 352), (640, 360), (360, 640), (1000, 300), (200, 150), (224, 224), (225, 227))
SHORT = ["a toilet", "BBQ", "a train", "", "Dogs barking, then 2 cars pass by.", "naïve café 🎷 déjà-vu", "don't stop"]
LONG = ("a dog barks while rain falls on a metal roof and a train passes by " * 5).strip()
INTRODUCTION = """# Parity with the original implementations

Made by `uv run benchmarks/parity.py --c-mcr CHECKOUT`, on a CPU, with {weights}.
Ours and the originals read the same checkpoint files. {about}

The originals: Hugging Face's `CLIPModel`, with its image processor on PIL and its tokenizer; laion_clap's
`CLAP_Module(enable_fusion=True)`, from files through librosa; for the heads {heads}. Each row
gives the largest difference between two embeddings' values, and the largest 1 - cosine, over all inputs of the row.

laion_clap has no fixed answer for sounds of 10.01 s and more: it draws three chunks at random, and its
`torchvision.transforms.Resize` began to antialias tensors in torchvision 0.17, after the network was trained. For these
rows its random choice is replaced by ours (the middle of each third) and antialiasing is off, as at training. Without
fusion it draws one part of 10 s; here it is the middle as well.
"""
NETWORKS = "\n## PaSST and Synchformer"
"""Where the part of the page begins that network_parity.py makes."""
SEEDED = "The weights are seeded random numbers, so this is about arithmetic, and says nothing about quality."


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    original: str
    difference: float
    distance: float
    aim: str
    met: bool | None

    def __str__(self) -> str:
        met = {True: "yes", False: "**no**", None: ""}[self.met]
        distance = "" if math.isnan(self.distance) else f"{self.distance:.1e}"
        return f"| {self.what} | {self.original} | {self.difference:.1e} | {distance} | {self.aim} | {met} |"


def compare(what: str, original: str, ours: Tensor, theirs: Tensor, *, aim: float | None, cosine: bool = False) -> Row:
    """Compare embeddings (N, D); the aim is for 1 - cosine or for the largest difference of a value."""
    a, b = ours.double(), theirs.double()
    difference, distance = (
        (a - b).abs().max().item(),
        (1 - (normalize(a) * normalize(b)).sum(dim=1).clamp(max=1)).max().item(),
    )
    aimed = "" if aim is None else f"{'1 - cosine' if cosine else 'difference'} ≤ {aim:.0e}"
    met = None if aim is None else (distance if cosine else difference) <= aim
    return Row(what, original, difference, distance, aimed, met)


def pictures() -> list[Image.Image]:
    """C-MCR's three samples if present, and seeded pictures of odd sizes."""
    samples = [Image.open(path).convert("RGB") for path in sorted(SAMPLES.glob("*.jpeg"))]
    return samples + [picture(height, width) for width, height in SIZES]


def frames(image: Image.Image) -> Tensor:
    """Turn a picture into a video of one frame."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


class Ours:
    """Our three encoders of one weights folder."""

    def __init__(self, weights: Path) -> None:
        self.handles = {name: load_encoder(name, weights=weights) for name in ("c-mcr", "clip", "clap")}

    def __call__(self, name: str, modality: str, batch: Sequence[Any]) -> Tensor:
        return self.handles[name].encode(modality, batch, torch.device("cpu"))


def head_and_clip_rows(ours: Ours, originals: Originals, folder: Path) -> Iterator[Row]:
    """Heads, captions and pictures."""
    unit = normalize(torch.randn(64, 512, generator=torch.Generator().manual_seed(1)), dim=-1)
    cmcr = ours.handles["c-mcr"].on(torch.device("cpu"))
    for name, part in (("Head_A", cmcr.clap), ("Head_B", cmcr.clip)):
        what = f"heads, `{name}`, 64 unit vectors"
        yield compare(what, "C-MCR", normalize(part.head(unit), dim=-1), originals.heads[name](unit), aim=1e-6)
    save_file(originals.clip_tensors, folder / "model.safetensors")
    renamed = clip.load_network(find_weights(["clip"], folder)).state_dict()
    same = all(torch.equal(renamed[name], tensor) for name, tensor in cmcr.clip.network.state_dict().items())
    worst = 0.0 if same else torch.inf
    yield Row("weights read from Hugging Face's layout", "`CLIPModel`", worst, worst, "same bits", same)
    captions = {f"{len(SHORT)} captions": SHORT, "captions of 77 tokens and more": [LONG, LONG + " and more"]}
    for what, texts in captions.items():
        yield compare(f"text, {what}", "`CLIPModel`", ours("clip", "text", texts), originals.text(texts), aim=5e-6)
    entity = ["rock &amp; roll"]
    what = f"text, an HTML entity, `{entity[0]}`: open_clip's tokenizer resolves it"
    yield compare(what, "`CLIPModel`", ours("clip", "text", entity), originals.text(entity), aim=None)
    images = pictures()
    crops = [Image.fromarray(prepare_frames(frames(image), 224)[0].permute(1, 2, 0).numpy()) for image in images]
    mine = ours("clip", "video", [frames(image) for image in images])
    yield compare("image, from the same 224 x 224 pixels", "`CLIPModel`", mine, originals.image(crops), aim=5e-6)
    theirs = originals.image(images)
    sizes = [f"{image.width} x {image.height}" for image in images]
    for size in dict.fromkeys(sizes):
        at = [i for i, own in enumerate(sizes) if own == size]
        what = f"image, {size}, {len(at)} picture{'s' * (len(at) > 1)}"
        yield compare(what, "`CLIPModel`, PIL", mine[at], theirs[at], aim=5e-6, cosine=True)
    with patch("torch.backends.cpu.get_cpu_capability", lambda: "DEFAULT"):
        mine = ours("clip", "video", [prepare_frames(frames(image), 224) for image in images])
    yield compare("image, all of them, resized as on a GPU", "`CLIPModel`, PIL", mine, theirs, aim=5e-6, cosine=True)


def clap_rows(ours: Ours, originals: Originals, folder: Path) -> Iterator[Row]:
    """Sounds at 48 kHz, sounds from files of other rates, and CLAP's own captions."""
    batches = {f"{s} s": [sound(s, 48_000, seed) for seed in range(3)] for s in (2, 7, 10, 25)}
    batches |= {f"{n} samples": [sound(n / 48_000, seed=1)] for n in (480_001, 480_479, 480_480)}
    for what, batch in batches.items():
        theirs = torch.cat([originals.audio([waveform]) for waveform in batch])
        yield compare(f"audio, {what} at 48 kHz", "laion_clap", ours("clap", "audio", batch), theirs, aim=5e-6)
    for rate in (16_000, 22_050, 24_000, 32_000, 44_099, 44_100):
        for seconds in (4, 10, 25):
            batch, paths = [sound(seconds, rate, seed) for seed in range(3)], []
            for number, waveform in enumerate(batch):
                paths.append(folder / f"{number}.wav")
                soundfile.write(paths[-1], waveform.numpy(), rate, subtype="FLOAT")
            mine = ours("clap", "audio", [resample(waveform, rate, 48_000) for waveform in batch])
            theirs = torch.cat([originals.files([path]) for path in paths])
            what = f"audio, {seconds} s from a file at {rate} Hz"
            yield compare(what, "laion_clap, librosa", mine, theirs, aim=4e-5, cosine=True)
    texts = [text for text in SHORT if text] + [LONG + " and more" * 20]
    theirs = torch.from_numpy(originals.clap.get_text_embedding(texts))
    yield compare("CLAP's text tower", "laion_clap", ours("clap", "text", texts), theirs, aim=5e-6)


def given_clap_rows(ours: Ours, originals: Originals, weights: Path) -> Iterator[Row]:
    """Loaded `CLAP_Module` objects: of the same file, and of other networks, whose parameters are seeded here."""
    cpu, batch = torch.device("cpu"), [sound(seconds) for seconds in (2, 10, 25)]
    given = load_encoder(originals.clap)
    same = torch.equal(given.encode("audio", batch, cpu), ours("clap", "audio", batch))
    same &= torch.equal(given.encode("text", SHORT, cpu), ours("clap", "text", SHORT))
    worst = 0.0 if same else torch.inf
    yield Row("a loaded `CLAP_Module`, sounds and captions", "the same file", worst, worst, "same bits", same)
    for size in ("HTSAT-tiny", "HTSAT-base"):
        module = clap_module(weights, enable_fusion=False, amodel=size)
        for name, parameter in module.model.named_parameters():
            if parameter.ndim > 1 and "extractor" not in name:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        theirs = torch.from_numpy(np.concatenate([module.get_audio_embedding_from_data([w.numpy()]) for w in batch]))
        mine = load_encoder(module).encode("audio", batch, cpu)
        what = f"a `CLAP_Module` of {size} without fusion, 2, 10 and 25 s"
        yield compare(what, "laion_clap", mine, theirs, aim=5e-6)
    # The last one is of the size of clap-music, and goes through a file under its public name.
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "roberta-base").symlink_to((weights / "roberta-base").resolve())
        tensors = {f"module.{name}": tensor for name, tensor in module.model.state_dict().items()}
        torch.save({"state_dict": tensors}, Path(folder) / "music_speech_audioset_epoch_15_esc_89.98.pt")
        named = load_encoder("clap-music", weights=folder)
        yield compare(
            "`clap-music` from its file, 2, 10 and 25 s",
            "laion_clap",
            named.encode("audio", batch, cpu),
            theirs,
            aim=5e-6,
        )
        theirs = torch.from_numpy(module.get_text_embedding(SHORT))
        yield compare(
            "`clap-music` from its file, captions", "laion_clap", named.encode("text", SHORT, cpu), theirs, aim=5e-6
        )


def joint_rows(ours: Ours, originals: Originals, folder: Path) -> Iterator[Row]:
    """C-MCR end to end: pictures, captions and sound files to similarities; the difference is that of a cosine."""
    images, texts, sounds = pictures()[:3], ["a toilet", "BBQ", "a train"], sorted(SAMPLES.glob("*.wav"))
    for seed in range(3 - len(sounds)):
        sounds.append(folder / f"{seed}.wav")
        soundfile.write(sounds[-1], sound(10, 44_100, seed).numpy(), 44_100, subtype="FLOAT")
    read = [soundfile.read(path, dtype="float32") for path in sounds]
    mine = {
        "video": ours("c-mcr", "video", [frames(image) for image in images]),
        "text": ours("c-mcr", "text", texts),
        "audio": ours("c-mcr", "audio", [resample(torch.from_numpy(wave), rate, 48_000) for wave, rate in read]),
    }
    theirs = {
        "video": originals.heads["Head_B"](originals.image(images)),
        "text": originals.heads["Head_B"](originals.text(texts)),
        "audio": originals.heads["Head_A"](originals.files(sounds)),
    }
    for modality in mine:
        yield compare(f"C-MCR end to end, {modality}", "the chain", mine[modality], theirs[modality], aim=None)
    for a, b in (("video", "text"), ("text", "audio"), ("video", "audio")):
        difference = (mine[a].double() @ mine[b].double().T - theirs[a].double() @ theirs[b].double().T).abs().max()
        yield Row(f"C-MCR end to end, {a}-{b} similarities (9)", "the chain", difference.item(), torch.nan, "", None)


def golden(originals: Originals, folder: Path) -> str:
    """Give the first values of the originals' embeddings, for GOLDEN in tests/test_cmcr.py."""
    soundfile.write(folder / "golden.wav", sound(4, 22_050).numpy(), 22_050, subtype="FLOAT")
    rows = {
        "video": originals.image([picture(352, 640)]),
        "text": originals.text(["a dog barks"]),
        "audio 2 s": originals.audio([sound(2)]),
        "audio 25 s": originals.audio([sound(25)]),
        "audio 22050 Hz": originals.files([folder / "golden.wav"]),
    }
    return json.dumps({name: [round(value, 7) for value in row[0, :6].tolist()] for name, row in rows.items()})


def spread(ours: Ours) -> str:
    """Say how far apart the embeddings of different inputs are: a network that ignores its input is always equal."""
    sounds, images = [sound(10, 48_000, seed) for seed in range(3)], [frames(image) for image in pictures()]
    parts = []
    for what, rows in (
        ("pictures", ours("clip", "video", images)),
        ("captions", ours("clip", "text", SHORT)),
        ("sounds", ours("clap", "audio", sounds)),
    ):
        cosines = (rows @ rows.T)[~torch.eye(len(rows), dtype=torch.bool)]
        parts.append(f"{what} {cosines.min():.3f} to {cosines.max():.3f}")
    return "For scale, the cosines between different inputs: " + ", ".join(parts) + "."


def report(weights: Path, originals: Originals, c_mcr: Path | None, folder: Path) -> str:
    """Compare everything; gives the Markdown page."""
    ours = Ours(weights)
    with torch.no_grad():
        rows = [row for part in (head_and_clip_rows, clap_rows, joint_rows) for row in part(ours, originals, folder)]
        rows[-6:-6] = given_clap_rows(ours, originals, weights)
        seeded = (weights / "SEEDED").is_file()
        introduction = INTRODUCTION.format(
            weights="seeded weights of full size" if seeded else "given weights",
            about=f"{SEEDED}\n{spread(ours)}" if seeded else spread(ours),
            heads="C-MCR's class `CLAPCLIP_Head`" if c_mcr else "their formula in float64 (no `--c-mcr`)",
        )
    names = ", ".join(f"`{handle.on(torch.device('cpu')).name}`" for handle in ours.handles.values())
    table = [
        "| what | original | largest difference | 1 - cosine | aim | met |",
        "|---|---|---|---|---|---|",
        *map(str, rows),
    ]
    return "\n".join([introduction, *table, "", f"Encoders: {names}. Versions: {versions()}.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="folder with checkpoints in the public layouts")
    parser.add_argument("--c-mcr", type=Path, help="checkout of MCR-PEFT/C-MCR")
    parser.add_argument("--golden", action="store_true", help="also print the numbers that the tests keep")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/parity.md"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights or Path(folder, "weights")
        if options.weights is None:
            write_seeded(weights)
        originals = Originals(weights, options.c_mcr)
        if options.golden:
            with torch.no_grad():
                print(golden(originals, Path(folder)), flush=True)
        page = report(weights, originals, options.c_mcr, Path(folder))
    print(page)
    before = options.output.read_text(encoding="utf-8") if options.output.is_file() else ""
    options.output.write_text(page + "".join(before.partition(NETWORKS)[1:]), encoding="utf-8")


if __name__ == "__main__":
    main()
