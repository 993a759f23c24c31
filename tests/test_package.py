"""What the package is made of: imports go one way, ``__all__`` is complete, and importing it needs no network."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import torchmetrics_majorscore as package

ROOT = Path(package.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
PACKAGES = [path for path in MODULES if path.name == "__init__.py"]
LEAVES = {"extras", "lazy", "replace", "__version__"}
ALLOWED = {
    "extras": set(),
    "lazy": set(),
    "replace": set(),
    "functional": {"functional"},
    "encoders": {"encoders", "functional"},
    "modalities": {"modalities", "encoders"},
    "networks": {"networks", "modalities", "functional", "encoders"},
    "metrics": {"metrics", "functional", "modalities", "encoders", "networks"},
    "lightning": {"lightning", "metrics", "modalities", "encoders", "networks"},
    "media": {"media", "modalities"},
    "statistics": {"statistics"},
    "tables": {"tables", "statistics", "media"},
    "scoring": {
        "scoring",
        "tables",
        "statistics",
        "media",
        "metrics",
        "modalities",
        "functional",
        "encoders",
        "networks",
    },
    "report": {"report", "tables", "statistics", "media"},
    "training": {"training", "networks", "statistics", "media", "metrics", "modalities", "functional", "encoders"},
    "demo": {"demo", "training", "scoring", "report", "statistics", "media", "metrics", "functional", "encoders"},
}


def dotted(path):
    return ".".join((ROOT.name, *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def imported(tree, module, is_package):
    """Give the parts of the package that a module imports anywhere, also inside functions."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: len(module.split(".")) - node.level + is_package] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{source}.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.split(".")[0] == ROOT.name and "." in name)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    parts = set(imported(ast.parse(path.read_text()), dotted(path), path.name == "__init__.py"))
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert own in (*ALLOWED, "cli", "__init__")
    assert parts <= ALLOWED.get(own, parts) | LEAVES


def test_imports_are_recognised():
    code = "def f():\n  from ..cli import g\n  from . import rows\n  import torchmetrics_majorscore.media.video\n"
    assert set(imported(ast.parse(code), f"{ROOT.name}.metrics.base", False)) == {"cli", "metrics", "media"}
    assert set(imported(ast.parse("from .major import x"), f"{ROOT.name}.metrics", True)) == {"metrics"}


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_all_names_what_can_be_imported(path):
    if path.parent.name == "lightning":
        pytest.importorskip("lightning")
    module = importlib.import_module(dotted(path))
    assert all(hasattr(module, name) for name in module.__all__)
    for node in ast.parse(path.read_text()).body:  # and what is imported for users is named
        home = (getattr(node, "module", None) or "").split(".")
        if isinstance(node, ast.ImportFrom) and home[0] == ROOT.name and not LEAVES.intersection(home):
            assert {alias.asname or alias.name for alias in node.names} <= set(module.__all__)


HEAVY = ("laion_clap", "transformers", "open_clip", "lightning", "matplotlib", "torchvision", "torchaudio", "av")
PROBE = f"""
import socket, sys
def refuse(*args, **kwargs): raise OSError("no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import torch, torchmetrics
# torchmetrics loads some of them itself: hide those, so that importing one again raises.
for name in [name for name in sys.modules if name.split(".")[0] in {HEAVY}]: del sys.modules[name]
for name in {HEAVY}: sys.modules[name] = None
import torchmetrics_majorscore as t
m = t.MAJORScores(None)
m.update(embeddings=dict.fromkeys(("video", "text", "audio"), torch.eye(2)))
t.MAJORScore(), t.CLIPCLAPScore(), t.FairScore()
print(m.compute()["majorscore_average"].item())
"""


def test_importing_the_package_loads_no_network_library(monkeypatch):
    monkeypatch.delenv("MAJORSCORE_WEIGHTS", raising=False)
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, "1.0"), run.stderr
