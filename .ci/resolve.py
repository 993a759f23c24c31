"""Does every extra install from wheels alone, with numpy 2 and the newest torch, on every Python of the classifiers?

Asks uv for what pip would resolve for a user: pins and overrides of [tool.uv] do not apply. Prints a table and fails if
a cell does. `[laion]` is left out: it asks for numpy < 2 and for packages that have no wheel on any Python.
"""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tomllib

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
PROJECT = tomllib.loads(PYPROJECT.read_text())["project"]
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
EXTRAS = ["(none)", *(extra for extra in PROJECT["optional-dependencies"] if extra != "laion")]


def resolved(python: str, *source: str, given: str | None = None) -> dict[str, str]:
    """Give package: version, as resolved from wheels for one Python on Linux."""
    command = ["uv", "pip", "compile", "--no-config", "--python", sys.executable, "--no-header", "--no-annotate"]
    wheels = ["--quiet", "--only-binary", ":all:", "--python-platform", "linux", "--python-version", python]
    run = subprocess.run([*command, *wheels, *source], input=given, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ValueError(run.stderr)
    return dict(line.split("==") for line in run.stdout.splitlines())


def cell(extra: str, python: str, newest: dict[str, str]) -> tuple[str, str]:
    """Give what the table shows for an extra on one Python, and why it is wrong, or nothing."""
    try:
        found = resolved(python, str(PYPROJECT), *([] if extra == "(none)" else ["--extra", extra]))
    except ValueError as error:
        return "fails", str(error)
    old = [] if found["torch"] == newest["torch"] else [f"takes torch back from {newest['torch']}"]
    old += [] if int(found["numpy"].split(".")[0]) >= 2 else ["takes numpy back below 2"]
    return f"{len(found)}: {found['torch']}, {found['numpy']}", " and ".join(old)


def main() -> None:
    """Print the table; exit with 1, and the reasons, if a cell is wrong."""
    cells = [(extra, python) for extra in EXTRAS for python in PYTHONS]
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(lambda python: resolved(python, "-", given="torch"), PYTHONS))
        newest = dict(zip(PYTHONS, alone, strict=True))
        found = dict(zip(cells, pool.map(lambda pair: cell(*pair, newest[pair[1]]), cells), strict=True))
    print("packages: torch, numpy".ljust(24), *(python.ljust(18) for python in PYTHONS))
    for extra in EXTRAS:
        print(extra.ljust(24), *(found[extra, python][0].ljust(18) for python in PYTHONS))
    wrong = [f"{extra} on Python {python}: {found[extra, python][1]}" for extra, python in cells]
    wrong = [line for line, pair in zip(wrong, cells, strict=True) if found[pair][1]]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
