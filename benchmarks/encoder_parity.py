"""Compare our encoders beside C-MCR with their originals, and print what a clip costs each.

    uv run benchmarks/encoder_parity.py --ex-mcr CHECKOUT --wav2clip CHECKOUT --languagebind CHECKOUT
        --pytorchvideo CHECKOUT [--only NAME ...]

The checkouts are of MCR-PEFT/Ex-MCR, descriptinc/lyrebird-wav2clip, PKU-YuanGroup/LanguageBind and
facebookresearch/pytorchvideo on GitHub; of the others the originals are open_clip, laion_clap and transformers
themselves. Weights are seeded numbers of full size (of PE-AV, the default configuration of transformers, that of
pe-av-large). One network at a time, up to 14 GB; one thread.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine
from originals import clap_module, languagebind_steps, load_file_as_module, original_clap, picture, sound
from parity import SHORT, Row, compare, frames
from torch import Tensor
from torch.nn.functional import normalize

from torchmetrics_majorscore.encoders import ex_mcr, languagebind, load_encoder, pe_av, wav2clip
from torchmetrics_majorscore.encoders.base import exact_float32, seed_weights
from torchmetrics_majorscore.encoders.checkpoints import Weights
from torchmetrics_majorscore.encoders.public import CHECKPOINTS
from torchmetrics_majorscore.encoders.seeded import write_seeded

CPU = torch.device("cpu")
SEEDED = Weights("seeded", seeded=True)
SIZES = ((352, 640), (360, 640), (640, 352), (225, 227), (200, 150))
SECONDS = 8
CLIPS = ("ViT-B-16/openai", "ViT-B-32-SigLIP2-256/webli")
CLAPS = [key.removeprefix("clap:") for key in CHECKPOINTS if key.startswith("clap:")]
TITLE = "\n## Other encoders\n"
ABOUT = """
Made by `benchmarks/encoder_parity.py` with checkouts of the originals, on a CPU, with seeded weights of full size, of
PE-AV those of transformers' default configuration. The originals: `Ex_MCR_Head` of MCR-PEFT/Ex-MCR, behind
CLAP as it is compared above; `ResNetExtractor` of descriptinc/lyrebird-wav2clip, one sound at a time; open_clip's own
network, PIL transform (Pillow 13) and tokenizer; laion_clap's `CLAP_Module`, both from one file under its public name;
the preparation in the files of PKU-YuanGroup/LanguageBind, whose package does not import with transformers 5, each
with what it draws by chance fixed (the network was not compared; of videos torch runs two kernels of one filter, each
up to 2e-04 from its result in float64); the whole `forward` of transformers'
`PeAudioVideoModel`, whose parts ours calls, so equal bits are no surprise.

| what | original | largest difference | 1 - cosine | aim | met |
|---|---|---|---|---|---|
"""


class Costs:
    """CPU seconds of encoding, by encoder and modality."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, name: str, what: str, run: Callable[[], Tensor]) -> Tensor:
        """Run once; what the first run of a process costs beside it is part of it."""
        with exact_float32(CPU):
            start = time.process_time()
            out = run()
        self.lines.append(f"{name}: {what}: {time.process_time() - start:.2g} s of one core")
        return out


def ex_mcr_rows(checkout: Path, costs: Costs) -> Iterator[Row]:
    """The head, which is all that differs from C-MCR's parts."""
    module = load_file_as_module("exmcr_projector", checkout / "exmcr/exmcr_projector.py")
    ours, theirs = ex_mcr.load_head(SEEDED).eval(), module.Ex_MCR_Head().eval()
    theirs.load_state_dict(ours.state_dict())
    unit = normalize(torch.randn(64, 512, generator=torch.Generator().manual_seed(1)), dim=-1)
    mine = costs("ex-mcr", "head, 64 sounds", lambda: normalize(ours(unit), dim=-1))
    expected = normalize(theirs.Head2(theirs.Head1(unit)), dim=-1)
    yield compare("ex-mcr, head, 64 unit vectors", "Ex-MCR", mine, expected, aim=1e-6)


def wav2clip_rows(checkout: Path, costs: Costs) -> Iterator[Row]:
    """The tower of sounds."""
    sys.path.insert(0, str(checkout))
    from wav2clip.model.encoder import ResNetExtractor

    tower = wav2clip.load_tower(SEEDED)
    tensors = {**tower.network.state_dict(), wav2clip.WINDOW: torch.hann_window(wav2clip.N_FFT)}
    original = ResNetExtractor(checkpoint=tensors, scenario="frozen", transform=True).eval()
    for seconds in (0.5, 2, SECONDS, 25):
        batch = [sound(seconds, 16_000, seed) for seed in range(3)]
        mine = torch.stack([tower.encode(wave) for wave in batch])
        theirs = normalize(torch.cat([original(wave[None]) for wave in batch]), dim=-1)
        what = f"wav2clip, {seconds} s, one sound at a time"
        yield compare(what, "wav2clip", mine, theirs, aim=5e-6)
    together = normalize(original(torch.stack([batch[0], 0.1 * batch[1], batch[2]])), dim=-1)
    what = "wav2clip, three sounds in one batch, which the original scales together"
    yield compare(what, "wav2clip", mine, together, aim=None)
    costs("wav2clip", f"a sound of {SECONDS} s", lambda: tower.encode(sound(SECONDS, 16_000))[None])


def clip_rows(variant: str, folder: Path, costs: Costs) -> Iterator[Row]:
    """A network of open_clip, whose tokenizer has its size and made-up words if it is one of Hugging Face."""
    import open_clip

    name, tag = variant.split("/")
    listed = open_clip.get_pretrained_cfg(name, tag)
    quick = {"force_quick_gelu": bool(listed.get("quick_gelu"))}
    network = open_clip.create_model(name, load_weights=False, **quick)
    seed_weights(network)
    own = folder / f"{name}-{tag}"
    own.mkdir()
    torch.save(network.state_dict(), own / "open_clip_pytorch_model.bin")
    del network
    text = open_clip.get_model_config(name)["text_cfg"]
    tokenize = open_clip.get_tokenizer(name) if "hf_tokenizer_name" not in text else made_up(own, text)
    encoder = load_encoder(f"clip:{variant}", weights=folder)
    images = [picture(height, width) for height, width in SIZES]
    mine = encoder.encode("video", [frames(image) for image in images], CPU)
    captions = encoder.encode("text", SHORT, CPU)
    clip = moving(SECONDS)
    costs(f"clip:{variant}", f"{SECONDS} frames of 640 x 360", lambda: encoder.encode("video", [clip], CPU))
    costs(f"clip:{variant}", "a caption", lambda: encoder.encode("text", SHORT[:1], CPU))
    how = {"image_mean": listed["mean"], "image_std": listed["std"], "image_interpolation": listed["interpolation"]}
    network, _, prepare = open_clip.create_model_and_transforms(
        name,
        pretrained=str(own / "open_clip_pytorch_model.bin"),
        **quick,
        **how,
        image_resize_mode=listed["resize_mode"],
    )
    network.eval()
    original = "open_clip, PIL"
    for image, row in zip(images, mine, strict=True):
        theirs = normalize(network.encode_image(prepare(image)[None]), dim=-1)
        what = f"clip:{variant}, picture {image.width} x {image.height}"
        yield compare(what, original, row[None], theirs, aim=5e-6, cosine=True)
    theirs = normalize(network.encode_text(tokenize(SHORT)), dim=-1)
    yield compare(f"clip:{variant}, {len(SHORT)} captions", "open_clip", captions, theirs, aim=5e-6)


def moving(count: int) -> Tensor:
    """Make frames of which none is the other."""
    return torch.cat([frames(picture(360, 640)).roll(shift, 3) for shift in range(count)])


def made_up(folder: Path, text: dict[str, Any]) -> Any:
    """Write a tokenizer of a network's size whose tokens are letters and numbers, and give open_clip's way to it."""
    import open_clip
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"<{number}>" for number in range(text["vocab_size"] - len(words))]
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    return open_clip.tokenizer.HFTokenizer(str(folder), text["context_length"], **text.get("tokenizer_kwargs", {}))


def clap_rows(name: str, folder: Path, costs: Costs) -> Iterator[Row]:
    """A checkpoint of laion_clap in a file of its public name and layout, which both read."""
    base = folder / "seeded"
    if not base.is_dir():
        write_seeded(base)
        original_clap(base)  # what laion_clap draws by chance is ours from here on
        (folder / "roberta-base").symlink_to(base / "roberta-base")
    size = "HTSAT-base" if name.startswith("music") else "HTSAT-tiny"
    module = clap_module(base, enable_fusion="-fusion" in name, amodel=size)
    generator = torch.Generator().manual_seed(CLAPS.index(name))
    for key, tensor in module.model.named_parameters():
        if tensor.ndim > 1 and "extractor" not in key:
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * tensor[0].numel() ** -0.5)
    file = folder / f"{name}.pt"
    torch.save({"state_dict": {f"module.{key}": x for key, x in module.model.state_dict().items()}}, file)
    encoder, batch = load_encoder(f"clap:{name}", weights=folder), [sound(seconds) for seconds in (2, 10, 25)]
    mine, captions = encoder.encode("audio", batch, CPU), encoder.encode("text", SHORT, CPU)
    costs(f"clap:{name}", f"a sound of {SECONDS} s", lambda: encoder.encode("audio", [sound(SECONDS)], CPU))
    costs(f"clap:{name}", "a caption", lambda: encoder.encode("text", SHORT[:1], CPU))
    theirs = torch.cat([torch.from_numpy(module.get_audio_embedding_from_data([one.numpy()])) for one in batch])
    yield compare(f"clap:{name}, 2, 10 and 25 s", "laion_clap", mine, theirs, aim=5e-6)
    theirs = torch.from_numpy(module.get_text_embedding(SHORT))
    yield compare(f"clap:{name}, {len(SHORT)} captions", "laion_clap", captions, theirs, aim=5e-6)
    file.unlink()


def languagebind_rows(checkout: Path, pytorchvideo: Path, costs: Costs) -> Iterator[Row]:
    """The adapter's preparation, with a module that has no network; differences are of the prepared numbers."""
    nothing = torch.nn.Module()
    nothing.modality_encoder = torch.nn.ModuleDict({name: torch.nn.Linear(1, 1) for name in languagebind.KEYS.values()})
    encoder, steps = languagebind.LanguageBind(nothing), languagebind_steps(checkout, pytorchvideo)
    original = "LanguageBind's processors"
    for seconds in (0.5, 3, 10.375, 10.39, 25):
        mine, theirs = encoder.mels(sound(seconds, 16_000)), steps["audio"](sound(seconds, 16_000)[None])
        yield compare(f"languagebind, sound of {seconds} s", original, mine.flatten(1), theirs.flatten(1), aim=2e-5)
    for height, width in SIZES:
        image = picture(height, width)
        mine, theirs = encoder.image_pixels(frames(image)[0]), steps["image"](image)
        what = f"languagebind, picture {width} x {height}"
        yield compare(what, original, mine.flatten(1), theirs.flatten(1), aim=1e-5)
        video = torch.cat([frames(image).roll(shift, 3) for shift in range(13)])
        seen = video[np.linspace(0, 12, 8, dtype=int)].transpose(0, 1).contiguous()
        mine, theirs = encoder.video_pixels(video), steps["video"](seen)
        what = f"languagebind, video {width} x {height}, 8 of 13 frames"
        # So far is torch's bilinear filter of noise from its own result in float64; another layout is another kernel.
        yield compare(what, original, mine.flatten(1), theirs.flatten(1), aim=2e-4)
    costs("languagebind", f"preparing a sound of {SECONDS} s", lambda: encoder.mels(sound(SECONDS, 16_000)))


def pe_av_rows(costs: Costs) -> Iterator[Row]:
    """PE-AV's parts against its forward; a stand-in gives the numbers of tokens."""
    from transformers import PeAudioVideoConfig, PeAudioVideoModel
    from transformers.initialization import no_init_weights

    with no_init_weights():
        network = PeAudioVideoModel(PeAudioVideoConfig()).eval()
    network.tie_weights()  # what no_init_weights leaves out: forward would run other copies
    seed_weights(network)
    tokens = torch.randint(1_000, 40_000, (1, 9), generator=torch.Generator().manual_seed(0))
    side = network.video_model.video_encoder.embedder.vision_model.timm_model.patch_embed.img_size[0]
    encoder = pe_av.PEAV(network, lambda *_, **__: Tokens(input_ids=tokens), "pe-av-large", side, None)
    video, wave = moving(2), sound(1)
    mine = {
        "video": costs("pe-av-large", "2 frames of 640 x 360", lambda: encoder.encode_video([video])),
        "audio": costs("pe-av-large", "a sound of 1 s", lambda: encoder.encode_audio([wave])),
        "text": costs("pe-av-large", "a caption of 9 tokens", lambda: encoder.encode_text(["a"])),
    }
    out = network(
        input_ids=tokens, input_values=pe_av.fill(wave)[None, None], pixel_values_videos=encoder.pixels(video)[None]
    )
    half = mine["text"].shape[1] // 2
    for what, ours, theirs in (
        ("video", mine["video"], out.video_embeds),
        ("audio", mine["audio"], out.audio_embeds),
        ("text for video", mine["text"][:, :half], out.text_video_embeds),
        ("text for audio", mine["text"][:, half:], out.text_audio_embeds),
    ):
        yield compare(f"pe-av, {what}", "`PeAudioVideoModel.forward`", ours, normalize(theirs, dim=-1), aim=5e-6)


class Tokens(dict):
    """What a tokenizer gives."""

    def to(self, device: torch.device) -> "Tokens":
        return self


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ex-mcr", type=Path, help="checkout of MCR-PEFT/Ex-MCR")
    parser.add_argument("--wav2clip", type=Path, help="checkout of descriptinc/lyrebird-wav2clip")
    parser.add_argument("--languagebind", type=Path, help="checkout of PKU-YuanGroup/LanguageBind")
    parser.add_argument("--pytorchvideo", type=Path, help="checkout of facebookresearch/pytorchvideo, which that uses")
    parser.add_argument(
        "--only", nargs="+", help="some of ex-mcr, wav2clip, clip:NAME/TAG, clap:NAME, languagebind, pe-av"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/parity.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    costs, rows = Costs(), []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        parts: dict[str, Callable[[], Iterator[Row]]] = {
            "ex-mcr": lambda: ex_mcr_rows(options.ex_mcr, costs),
            "wav2clip": lambda: wav2clip_rows(options.wav2clip, costs),
            **{f"clip:{name}": lambda name=name: clip_rows(name, Path(folder), costs) for name in CLIPS},
            **{f"clap:{name}": lambda name=name: clap_rows(name, Path(folder), costs) for name in CLAPS},
            "languagebind": lambda: languagebind_rows(options.languagebind, options.pytorchvideo, costs),
            "pe-av": lambda: pe_av_rows(costs),
        }
        chosen = options.only or list(parts)
        for name in chosen:
            for row in parts[name]():
                rows.append(str(row))
                print(row, flush=True)
    print("\n".join(costs.lines), f"\n{machine()}")
    page, _, before = options.output.read_text(encoding="utf-8").partition(TITLE)
    table = ordered(parts, [*others(before, "| ", chosen), *rows])
    listed = ordered(parts, [*others(before, "- ", chosen), *(f"- {line}" for line in costs.lines)])
    end = [
        "",
        "What each costs, measured in the same run:",
        "",
        *listed,
        "",
        machine(),
        "",
    ]
    options.output.write_text(page + TITLE + ABOUT + "\n".join([*table, *end]), encoding="utf-8")


def others(page: str, mark: str, chosen: list[str]) -> list[str]:
    """Give the lines of a page that earlier runs made for parts that this one leaves out."""
    lines = [line for line in page.splitlines() if line.startswith(mark)]
    lines = [line for line in lines if not line.startswith(("| what", "|---"))]
    return [line for line in lines if not line.removeprefix(mark).startswith(tuple(chosen))]


def ordered(parts: dict[str, Any], lines: list[str]) -> list[str]:
    """Put lines into the order of the parts."""
    return [line for part in parts for line in lines if line[2:].startswith(part)]


if __name__ == "__main__":
    main()
