"""LangGraph's packages for Node, in a cache folder outside the tree.

    python -m tests.server.langgraph.node_packages     # fetches them once (npm ci, 62 MB)

Which versions is fixed by node/package-lock.json.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent / "node"
SCRIPT = HERE / "use_stream.mjs"
CACHE = Path(os.environ.get("GROUNDLING_TEST_NODE", "~/.cache/groundling-tests/node")).expanduser()


def folder() -> Path:
    """Return where the packages of this lock file belong."""
    lock = (HERE / "package-lock.json").read_bytes()
    return CACHE / hashlib.sha256(lock).hexdigest()[:16]


def missing() -> str | None:
    """Tell what is missing to run the script; None: nothing is."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (folder() / "complete").exists():
        return "LangGraph's packages for Node are not there: " + " ".join(
            ["python", "-m", "tests.server.langgraph.node_packages"]
        )
    return None


def fetch() -> Path:
    """Fetch the packages, if they are not there yet."""
    place = folder()
    if not (place / "complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, place / name)
        npm = shutil.which("npm")
        if npm is None:
            sys.exit("npm is not installed.")
        subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=place, check=True
        )
        (place / "complete").touch()
    return place


if __name__ == "__main__":
    print(fetch())
