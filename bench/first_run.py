"""From a fresh clone to the first cited answer, by stage.

    uv run python -m bench.first_run [--keep FOLDER] [--json FILE]

Runs what `make ask` runs, in the same order but one stage at a time: a clone of this
repository, an empty home folder and an empty package cache. Needs git, pip, a compiler
and the network; takes about as long as a person waits the first time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUESTION = "How many days of unused annual leave can I carry over to the next year?"
GOAL_SECONDS = 600
ANSWER = """
import json, sys, time
from groundling import Home
begun = time.perf_counter()
home = Home()
home.knowledge("handbook").add(["data/handbook"])
ingested = time.perf_counter()
home.model.get_num_tokens("load the model")
loaded = time.perf_counter()
rag = home.graph("rag", knowledge="handbook")
first = None
for mode, data in rag.stream({"question": sys.argv[1]}, stream_mode=["messages", "values"]):
    if mode == "messages" and first is None and data[0].type == "AIMessageChunk":
        first = time.perf_counter()
    if mode == "values":
        result = data
done = time.perf_counter()
print(json.dumps({
    "ingest": ingested - begun, "load": loaded - ingested,
    "retrieve and prefill (to the first token)": first - loaded,
    "decode and cite": done - first,
    "answer": result["answer"], "citations": len(result["citations"]),
}, ensure_ascii=False))
"""


def main() -> None:
    """Run the stages and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="work in this new folder and leave it")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True)
        stages = run(options.keep)
    else:
        with tempfile.TemporaryDirectory() as folder:
            stages = run(Path(folder))
    answer, citations = stages.pop("answer"), stages.pop("citations")
    seconds = {name: float(value) for name, value in stages.items()}
    total = sum(seconds.values())
    print(f"\n{'stage':<44} seconds   share")
    for name, value in seconds.items():
        print(f"{name:<44} {value:7.1f}  {value / total:6.1%}")
    print(f"{'total':<44} {total:7.1f}  {total / GOAL_SECONDS:6.1%} of {GOAL_SECONDS} s")
    print(f"\n{answer}\n({citations} citations; {platform.machine()}, {os.cpu_count()} cores)")
    if options.json:
        options.json.write_text(json.dumps({**seconds, "total": total}, indent=2), encoding="utf-8")


def run(folder: Path) -> dict[str, object]:
    """Run every stage in a folder and return its seconds."""
    clone = folder / "clone"
    tools = folder / "tools"
    environment = {
        **os.environ,
        "HOME": str(folder / "home"),
        "UV_CACHE_DIR": str(folder / "uv-cache"),
        "XDG_DATA_HOME": str(folder / "home" / "data"),
        "PATH": f"{tools / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": "",
    }
    for name in ("VIRTUAL_ENV", "GROUNDLING_HOME"):
        environment.pop(name, None)
    (folder / "home").mkdir()
    stages: dict[str, object] = {}

    def stage(name: str, *command: str | Path, where: Path = clone) -> None:
        print(f"{name} …", file=sys.stderr, flush=True)
        begun = time.perf_counter()
        subprocess.run(command, cwd=where, env=environment, check=True)
        stages[name] = time.perf_counter() - begun

    sync = ("uv", "sync", "--quiet", "--locked", "--no-dev", "--inexact")
    groundling = ("uv", "run", "--no-sync", "groundling")
    stage("clone", "git", "clone", "--quiet", ROOT, clone, where=folder)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--target", tools, "uv")
    stage("install uv", *pip)
    native = ("--no-install-package", "llama-cpp-python", "--no-install-project")
    stage("install packages", *sync, *native)
    stage("build llama.cpp", *sync)
    stage("download the chat model", *groundling, "model", "pull", "qwen2.5-coder-1.5b")
    stage("download the embedder", *groundling, "model", "pull", "minilm-l6")
    print("answer …", file=sys.stderr, flush=True)
    command = ("uv", "run", "--no-sync", "python", "-c", ANSWER, QUESTION)
    done = subprocess.run(
        command, cwd=clone, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return {**stages, **json.loads(done.stdout.splitlines()[-1])}


if __name__ == "__main__":
    main()
