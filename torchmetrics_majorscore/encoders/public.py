"""The public checkpoints: what they are called, where they are, what they are licensed as, and their digests."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Checkpoint:
    """One public checkpoint file: its names in a local folder, and where it is downloaded from."""

    names: tuple[str, ...]
    """Accepted file names in a local folder, preferred first."""
    repo: str
    """Hugging Face repository, or ``https://`` for a plain address that ``revision`` is part of."""
    revision: str
    filename: str
    licence: str = ""
    """As its authors state it, by its SPDX name."""
    megabytes: float = 0.0
    """Of the file, in 10^6 bytes; of those whose size nobody states, from the number of their values; 0 if unknown."""
    sha256: str | None = None
    """The digest, or how it begins: torchvision's names of files have 8 digits of it."""
    git_blob: str | None = None
    md5: str | None = None

    @property
    def plain(self) -> bool:
        """Whether it is at a plain address and not in a Hugging Face repository."""
        return "://" in self.repo

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        home = f"{self.repo}/" if self.plain else f"https://huggingface.co/{self.repo}/resolve/"
        return f"{home}{self.revision}/{self.filename}"


# laion_clap's checkpoints with HTSAT, the one of C-MCR first; the baseline takes any of them from a folder.
_LAION = (
    "630k-fusion-best",
    "630k-audioset-fusion-best",
    "630k-best",
    "630k-audioset-best",
    "music_speech_audioset_epoch_15_esc_89.98",
    "music_audioset_epoch_15_esc_90.14",
    "music_speech_epoch_15_esc_89.25",
)


def _laion(name: str, megabytes: float, accepted: tuple[str, ...] = (), sha256: str | None = None) -> Checkpoint:
    """Describe a checkpoint of laion_clap, and which others a folder may have in its place."""
    names = tuple(f"{each}.{suffix}" for each in accepted or (name,) for suffix in ("safetensors", "pt"))
    revision = "b3708341862f581175dba5c356a4ebf74a9b6651"
    return Checkpoint(names, "lukewys/laion_clap", revision, f"{name}.pt", "CC0-1.0", megabytes, sha256)


PE_AV = [f"pe-av-{size}{seen}" for size in ("small", "base", "large") for seen in ("", "-16-frame")]
PE_AV_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_BERT = "bert_uncased_L-4_H-512_A-8"


def _torchvision(name: str, digits: str, megabytes: float) -> Checkpoint:
    """Describe a checkpoint of torchvision."""
    file = f"{name}-{digits}"
    names = (f"{file}.safetensors", f"{file}.pth")
    home = "https://download.pytorch.org"
    return Checkpoint(names, home, "models", f"{file}.pth", "BSD-3-Clause", megabytes, sha256=digits)


# The revision pins the content of a repository. The digests of laion_clap's other files, of the two RoBERTa files, of
# Cnn14, of VGGish, of PaSST and of Wav2CLIP, and the revision of BERT small, are not pinned: they could not be looked
# up when this was written. What a repository of Hugging Face says of a file is checked in any case when it has been
# downloaded.
CHECKPOINTS = {
    "clip": Checkpoint(
        ("open_clip_model.safetensors", "model.safetensors"),
        "timm/vit_base_patch32_clip_224.openai",
        "a6f597a30f7b82c51704746581f9a4e41421e878",
        "open_clip_model.safetensors",
        "MIT",
        605,
        sha256="e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
    ),
    "clap": _laion("630k-fusion-best", 1860),
    "any-clap": _laion("630k-fusion-best", 1860, _LAION),
    "clap-music": _laion(
        "music_speech_audioset_epoch_15_esc_89.98",
        2352.471003,
        sha256="51c68f12f9d7ea25fdaaccf741ec7f81e93ee594455410f3bca4f47f88d8e006",
    ),
    "clap-audioset": _laion("630k-audioset-fusion-best", 1860),
    **{f"clap:{name}": _laion(name, 2352 if name.startswith("music") else 1860) for name in _LAION},
    "heads": Checkpoint(
        ("clap_clip.safetensors", "clap_clip.pt"),
        "https://raw.githubusercontent.com/MCR-PEFT/C-MCR",
        "038dec166e6f7a1900b383040f9265c05cf8dcfd",
        "checkpoints/clap_clip.pt",
        "CC-BY-4.0",
        8.46,
        git_blob="61099f73eabf34a1f8da2ab11ffdd87db95b20b3",
    ),
    "ex-head": Checkpoint(
        ("ex_clap.safetensors", "ex_clap.pt"),
        "https://raw.githubusercontent.com/MCR-PEFT/Ex-MCR",
        "0f2baa5cd002b646a002ee0fe045ab05271be487",
        "checkpoints/ex_clap.pt",
        "CC-BY-4.0",
        9.5,
        git_blob="f85c9a202324d9374c71b032fd9f42a9c818cf87",
    ),
    "wav2clip": Checkpoint(
        ("Wav2CLIP.safetensors", "Wav2CLIP.pt"),
        "https://github.com/descriptinc/lyrebird-wav2clip/releases/download",
        "v0.1.0-alpha",
        "Wav2CLIP.pt",
        "MIT",
        46.9,
    ),
    **{
        f"{name}/{file}": Checkpoint((f"{name}/{file}",), f"facebook/{name}", "main", file, "Apache-2.0")
        for name in PE_AV
        for file in PE_AV_FILES
    },
    "roberta-vocab": Checkpoint(
        ("roberta-base/vocab.json",),
        "FacebookAI/roberta-base",
        "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        "vocab.json",
        "MIT",
        0.9,
    ),
    "roberta-merges": Checkpoint(
        ("roberta-base/merges.txt",),
        "FacebookAI/roberta-base",
        "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        "merges.txt",
        "MIT",
        0.46,
    ),
    "panns": Checkpoint(
        ("Cnn14_16k_mAP=0.438.safetensors", "Cnn14_16k_mAP=0.438.pth"),
        "https://zenodo.org/record",
        "3987831",
        "files/Cnn14_16k_mAP=0.438.pth",
        "CC-BY-4.0",
        324,
    ),
    "vggish": Checkpoint(
        ("vggish-10086976.safetensors", "vggish-10086976.pth"),
        "https://github.com/harritaylor/torchvggish/releases/download",
        "v0.1",
        "vggish-10086976.pth",
        "Apache-2.0",
        289,
    ),
    "resnet50": _torchvision("resnet50", "11ad3fa6", 103),
    "s3d": _torchvision("s3d", "d76dad2f", 33),
    "bert-small": Checkpoint(
        (f"{_BERT}/model.safetensors", f"{_BERT}/pytorch_model.bin"),
        f"google/{_BERT}",
        "main",
        "pytorch_model.bin",
        "Apache-2.0",
        115,
    ),
    "bert-vocab": Checkpoint((f"{_BERT}/vocab.txt",), f"google/{_BERT}", "main", "vocab.txt", "Apache-2.0", 0.2),
    "passt": Checkpoint(
        ("passt-s-f128-p16-s10-ap.476-swa.safetensors", "passt-s-f128-p16-s10-ap.476-swa.pt"),
        "https://github.com/kkoutini/PaSST/releases/download",
        "v0.0.1-audioset",
        "passt-s-f128-p16-s10-ap.476-swa.pt",
        "Apache-2.0",
        345,
    ),
    "synchformer": Checkpoint(
        ("synchformer_state_dict.safetensors", "synchformer_state_dict.pth"),
        "https://github.com/hkchengrex/MMAudio/releases/download",
        "v0.1",
        "synchformer_state_dict.pth",
        "MIT",
        950,
        md5="5b2f5594b0730f70e41e549b7c94390c",  # as MMAudio's own downloader expects it
    ),
}


def find_checkpoint(key: str) -> Checkpoint | None:
    """Give a checkpoint of the table, or what is known of that of a network of open_clip; None for a name of a file.

    Where open_clip's are, it knows itself, see :func:`.any_clip.public_checkpoints`; loading it takes seconds.
    """
    if key.startswith("clip:"):
        folder = key.removeprefix("clip:").replace("/", "-")
        names = f"{folder}/open_clip_model.safetensors", f"{folder}/open_clip_pytorch_model.bin"
        return Checkpoint(names, "", "main", "open_clip_model.safetensors", "see its model card")
    return CHECKPOINTS.get(key)
