"""Build the wheel, install it into an empty environment, and compare it with the tree.

A subpackage that setuptools does not list, or a data file that is not packed, works in
the checkout and is missing for everybody else.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = {
    "app": "groundling",
    "graphs": "groundling/graphs",
    "tools": "groundling/tools",
    "data": "groundling/data",
}


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def expected() -> set[str]:
    names = set()
    for line in run("git", "ls-files", *ROOMS).splitlines():
        room, _, rest = line.partition("/")
        names.add(f"{ROOMS[room]}/{rest}")
    return names


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run("uv", "build", "--quiet", "--wheel", "--out-dir", folder)
        [wheel] = Path(folder).glob("*.whl")
        packed = {
            name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("groundling/")
        }
        if missing := sorted(expected() - packed):
            sys.exit(f"Not in the wheel: {', '.join(missing)}")
        if extra := sorted(packed - expected()):
            sys.exit(f"In the wheel but not in the tree: {', '.join(extra)}")
        empty = Path(folder) / "empty"
        run("uv", "venv", "--quiet", empty)
        python = empty / "bin" / "python"
        run("uv", "pip", "install", "--quiet", "--no-deps", "--python", python, wheel)
        place = run(python, "-c", "import groundling; print(groundling.__file__)").strip()
        if not Path(place).is_relative_to(empty):
            sys.exit(f"groundling was imported from {place}, not from the wheel")
    print(f"{wheel.name}: {len(packed)} files, as in the tree")


if __name__ == "__main__":
    main()
