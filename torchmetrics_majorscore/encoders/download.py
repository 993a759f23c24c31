"""The public checkpoints: where they are downloaded from, and which digests they must have."""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from torchmetrics_majorscore.extras import needs_extra

ENVIRONMENT = "MAJORSCORE_WEIGHTS"


@dataclass(frozen=True)
class Checkpoint:
    """One public checkpoint file: its names in a local folder, and where it is downloaded from."""

    names: tuple[str, ...]
    """Accepted file names in a local folder, preferred first."""
    repo: str
    """Hugging Face repository, or ``https://`` for a plain address that ``revision`` is part of."""
    revision: str
    filename: str
    sha256: str | None = None
    """The digest, or how it begins: torchvision's names of files have 8 digits of it."""
    git_blob: str | None = None
    md5: str | None = None


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


def _laion(name: str, accepted: tuple[str, ...] = ()) -> Checkpoint:
    """Describe a checkpoint of laion_clap, and which others a folder may have in its place."""
    names = tuple(f"{each}.{suffix}" for each in accepted or (name,) for suffix in ("safetensors", "pt"))
    return Checkpoint(names, "lukewys/laion_clap", "b3708341862f581175dba5c356a4ebf74a9b6651", f"{name}.pt")


_BERT = "bert_uncased_L-4_H-512_A-8"


def _torchvision(name: str, digits: str) -> Checkpoint:
    """Describe a checkpoint of torchvision."""
    file = f"{name}-{digits}"
    names = (f"{file}.safetensors", f"{file}.pth")
    return Checkpoint(names, "https://download.pytorch.org", "models", f"{file}.pth", sha256=digits)


# The revision pins the content of a repository. The digests of laion_clap's files, of the two RoBERTa files, of Cnn14,
# of VGGish and of PaSST, and the revision of BERT small, are not pinned: they could not be looked up when this was
# written.
CHECKPOINTS = {
    "clip": Checkpoint(
        ("open_clip_model.safetensors", "model.safetensors"),
        "timm/vit_base_patch32_clip_224.openai",
        "a6f597a30f7b82c51704746581f9a4e41421e878",
        "open_clip_model.safetensors",
        sha256="e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
    ),
    "clap": _laion("630k-fusion-best"),
    "any-clap": _laion("630k-fusion-best", _LAION),
    "clap-music": _laion("music_speech_audioset_epoch_15_esc_89.98"),
    "clap-audioset": _laion("630k-audioset-fusion-best"),
    "heads": Checkpoint(
        ("clap_clip.safetensors", "clap_clip.pt"),
        "https://raw.githubusercontent.com/MCR-PEFT/C-MCR",
        "038dec166e6f7a1900b383040f9265c05cf8dcfd",
        "checkpoints/clap_clip.pt",
        git_blob="61099f73eabf34a1f8da2ab11ffdd87db95b20b3",
    ),
    "roberta-vocab": Checkpoint(
        ("roberta-base/vocab.json",),
        "FacebookAI/roberta-base",
        "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        "vocab.json",
    ),
    "roberta-merges": Checkpoint(
        ("roberta-base/merges.txt",),
        "FacebookAI/roberta-base",
        "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        "merges.txt",
    ),
    "panns": Checkpoint(
        ("Cnn14_16k_mAP=0.438.safetensors", "Cnn14_16k_mAP=0.438.pth"),
        "https://zenodo.org/record",
        "3987831",
        "files/Cnn14_16k_mAP=0.438.pth",
    ),
    "vggish": Checkpoint(
        ("vggish-10086976.safetensors", "vggish-10086976.pth"),
        "https://github.com/harritaylor/torchvggish/releases/download",
        "v0.1",
        "vggish-10086976.pth",
    ),
    "resnet50": _torchvision("resnet50", "11ad3fa6"),
    "s3d": _torchvision("s3d", "d76dad2f"),
    "bert-small": Checkpoint(
        (f"{_BERT}/model.safetensors", f"{_BERT}/pytorch_model.bin"), f"google/{_BERT}", "main", "pytorch_model.bin"
    ),
    "bert-vocab": Checkpoint((f"{_BERT}/vocab.txt",), f"google/{_BERT}", "main", "vocab.txt"),
    "passt": Checkpoint(
        ("passt-s-f128-p16-s10-ap.476-swa.safetensors", "passt-s-f128-p16-s10-ap.476-swa.pt"),
        "https://github.com/kkoutini/PaSST/releases/download",
        "v0.0.1-audioset",
        "passt-s-f128-p16-s10-ap.476-swa.pt",
    ),
    "synchformer": Checkpoint(
        ("synchformer_state_dict.safetensors", "synchformer_state_dict.pth"),
        "https://github.com/hkchengrex/MMAudio/releases/download",
        "v0.1",
        "synchformer_state_dict.pth",
        md5="5b2f5594b0730f70e41e549b7c94390c",  # as MMAudio's own downloader expects it
    ),
}


def download(checkpoint: Checkpoint) -> Path:
    """Download a checkpoint into the Hugging Face cache, by revision, and verify its digest.

    Args:
        checkpoint: which one; a file that is in the cache is not downloaded again.

    Returns:
        The local path.

    Raises:
        FileNotFoundError: it is not in the cache and cannot be downloaded.
        ValueError: the digest differs.
    """
    needs_extra("huggingface_hub", "cmcr")
    from huggingface_hub import hf_hub_download

    name = Path(checkpoint.filename).name

    try:
        if checkpoint.repo.startswith("https://"):
            path = _download_address(checkpoint)
        else:
            path = Path(hf_hub_download(checkpoint.repo, checkpoint.filename, revision=checkpoint.revision))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{name} is not on this machine and could not be downloaded from {checkpoint.repo} "
            f"({type(error).__name__}). Without a network, put it under that name into a folder and name the folder "
            f"with weights=... or {ENVIRONMENT}."
        ) from error
    if not _matches(path, checkpoint):
        raise ValueError(f"{path} does not have the digest of the public {name}; delete it and try again.")
    return path


def _download_address(checkpoint: Checkpoint) -> Path:
    from filelock import FileLock
    from huggingface_hub.constants import HF_HOME

    path = Path(HF_HOME) / "majorscore" / checkpoint.revision / Path(checkpoint.filename).name
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # the ranks of a machine start together; the first one downloads
        if not path.is_file():
            address = f"{checkpoint.repo}/{checkpoint.revision}/{checkpoint.filename}"
            torch.hub.download_url_to_file(address, str(path), progress=sys.stderr.isatty())
    return path


def _matches(path: Path, checkpoint: Checkpoint) -> bool:
    if checkpoint.git_blob:
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == checkpoint.git_blob
    if checkpoint.md5:
        return _file_digest(path, "md5") == checkpoint.md5
    return checkpoint.sha256 is None or file_sha256(path).startswith(checkpoint.sha256)


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    return _file_digest(path, "sha256")


def _file_digest(path: Path, kind: str) -> str:
    digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
