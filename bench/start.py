"""How long `groundling --help` and `import groundling` take, against Python doing nothing.

    uv run python -m bench.start

Medians of whole processes, in turn.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
GROUNDLING = Path(sys.executable).with_name("groundling")
COMMANDS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "import groundling": (sys.executable, "-c", "import groundling"),
    "groundling --help": (GROUNDLING, "--help"),
    "from groundling import Home": (sys.executable, "-c", "from groundling import Home"),
    "import groundling.graphs.rag": (sys.executable, "-c", "import groundling.graphs.rag"),
}


def main() -> None:
    """Time the commands and print their medians."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - begun)
    least = statistics.median(seconds["python -c pass"])
    print(f"{'':<30} median   range          more than python")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"{name:<30} {median:.3f} s  {min(values):.3f}–{max(values):.3f} s  "
            f"+{median - least:.3f} s"
        )


if __name__ == "__main__":
    main()
