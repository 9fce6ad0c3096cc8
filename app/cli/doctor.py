"""`groundling doctor`: is everything here, whole and in agreement, and if not, what next."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import click

from groundling.cli.output import Command, Shell, pass_shell
from groundling.errors import GroundlingError

if TYPE_CHECKING:
    from pathlib import Path

    from groundling.models.cpu import Build
    from groundling.models.embedder import Embedder
    from groundling.models.files.manifest import InstalledModel
    from groundling.models.files.store import ModelStore
    from groundling.settings import Settings

_LEAST_FREE = 500_000_000  # bytes: an index and the database of conversations fit into it
_MARKS = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "problem": ("BAD ", "red")}


@dataclass(frozen=True)
class Finding:
    """What a check found; a problem says what to do next."""

    check: str
    state: Literal["ok", "note", "problem"]
    text: str
    next: str | None = None


Check = Callable[["Settings", bool], Iterator[Finding]]


@click.command(cls=Command)
@click.option("--full", is_flag=True, help="Hash the model files again and read all traces, too.")
@pass_shell
def doctor(shell: Shell, full: bool) -> None:
    """Check this machine and home folder.

    Each problem comes with the next command. The exit code is 1 if there is any.
    """
    findings = []
    for finding in examine(shell, full):
        findings.append(finding)
        if not shell.json:
            _print(finding)
    problems = sum(finding.state == "problem" for finding in findings)
    if shell.json:
        shell.out({"problems": problems, "findings": [asdict(finding) for finding in findings]})
    else:
        click.echo(f"\n{problems or 'No'} problem{'s' * (problems != 1)}.")
    if problems:
        click.get_current_context().exit(1)


def examine(shell: Shell, full: bool) -> Iterator[Finding]:
    """Run every check; one that fails is a finding and does not stop the others."""
    try:
        settings = shell.settings
    except GroundlingError as error:
        yield _problem("settings", error)
        return
    checks: list[tuple[str, Check]] = [
        ("settings", _settings),
        ("home", _home),
        ("cpu", _cpu),
        ("llama.cpp", _build),
        ("model", _model),
        ("embedder", _embedder),
        ("knowledge", _knowledge),
        ("traces", _traces),
    ]
    for name, check in checks:
        try:
            yield from check(settings, full)
        except (GroundlingError, OSError) as error:
            yield _problem(name, error)


def _settings(settings: Settings, _: bool) -> Iterator[Finding]:
    path = settings.config_path
    where = f"{path} is valid" if path.exists() else "no config.toml: defaults"
    yield Finding("settings", "ok", f"{where}; profile {settings.profile}")


def _home(settings: Settings, _: bool) -> Iterator[Finding]:
    import os

    folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        yield Finding(
            "home",
            "problem",
            f"{settings.home} cannot be written.",
            "Give another one: groundling --home FOLDER …, or GROUNDLING_HOME",
        )
        return
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE:
        yield Finding(
            "home",
            "problem",
            f"{settings.home} has {_size(free)} of free disk.",
            "groundling model list --installed; groundling model remove ID",
        )
    else:
        yield Finding("home", "ok", f"{settings.home} can be written; {_size(free)} free")


def _cpu(settings: Settings, _: bool) -> Iterator[Finding]:
    from groundling.models.cpu import default_threads, read_cpu

    threads = settings.model.threads or default_threads()
    yield Finding("cpu", "ok", f"{read_cpu().describe()}; {threads} threads for the model")


def _build(settings: Settings, _: bool) -> Iterator[Finding]:
    from groundling.models.cpu import (
        extra_buffers_safe,
        has_nvidia_driver,
        read_build,
        read_cpu,
    )
    from groundling.settings import environment

    try:
        build = read_build()
    except (ImportError, OSError, RuntimeError) as error:
        yield Finding(
            "llama.cpp",
            "problem",
            f"The library cannot be loaded: {error}",
            "Install it again: uv sync --reinstall-package llama-cpp-python",
        )
        return
    yield Finding("llama.cpp", "ok", build.describe())
    devices = ", ".join(f"{device.name} ({device.description})" for device in build.devices)
    yield Finding("backend", "ok", f"{build.backend}; devices: {devices or 'unknown'}")
    if build.idle_gpu_backends:
        yield Finding(
            "backend",
            "note",
            f"llama.cpp was built for {', '.join(build.idle_gpu_backends)} and finds no GPU: "
            "the CPU does all the work.",
            "Does the GPU's driver run? For NVIDIA: nvidia-smi",
        )
    elif has_nvidia_driver() and not build.gpu_offload:
        yield Finding(
            "backend",
            "note",
            "Here is an NVIDIA GPU, and llama.cpp was built without CUDA.",
            "How to build it: docs/gpu.md",
        )
    if not extra_buffers_safe(read_cpu(), build):
        yield Finding(
            "llama.cpp",
            "note",
            "It was built with AMX kernels, which crash on this CPU; they are kept off.",
            "For a build without them: uv sync --reinstall-package llama-cpp-python",
        )
    policy = environment().get("OMP_WAIT_POLICY", "")
    if policy.lower() == "passive":
        yield Finding("threads", "ok", "waiting threads sleep (OMP_WAIT_POLICY=passive)")
    else:
        yield Finding(
            "threads",
            "note",
            f"OMP_WAIT_POLICY={policy}: threads that spin slow a machine with shared cores.",
            "unset OMP_WAIT_POLICY",
        )


def _served(settings: Settings) -> Iterator[Finding]:
    from groundling.models.remote import ChatRemote

    found = ChatRemote.from_settings(settings).capabilities()
    yield Finding(
        "model",
        "ok",
        f"{found.model} on {settings.model.base_url} ({found.server}); "
        f"context: {found.context or 'not told'}; choosing: {found.choose}; "
        f"counting: {found.counting}",
    )


def _measured(settings: Settings, path: Path) -> Finding:
    from groundling.models.calibration import load_calibration

    found = load_calibration(settings.models_path, path, settings.model.threads)
    if found is None:
        reason = "How this machine runs it best was not measured yet: weights stay as they are."
        return Finding("measured", "note", reason, "groundling model measure")
    row = found.chosen
    kind = "weights repacked" if row.repack else "weights as in the file"
    rates = f"reads {row.prefill:.0f} tokens/s, writes {row.decode:.1f}"
    return Finding("measured", "ok", f"{kind}, {row.threads} threads: {rates}")


def _model(settings: Settings, full: bool) -> Iterator[Finding]:
    if settings.model.base_url is not None:
        yield from _served(settings)
        return
    from groundling.models.cpu import read_build
    from groundling.models.gguf import read_gguf
    from groundling.models.memory import BATCH, plan

    store, wanted = _store(settings), settings.model.name
    installed = store.resolve(wanted)
    header = read_gguf(installed.path)
    yield Finding(
        "model",
        "ok",
        f"{installed.entry.id}: {header.name}, {header.architecture}, "
        f"{_size(header.file_bytes)}, the header agrees with the file's length",
    )
    layers = _layers(read_build(), settings.model.gpu_layers, header.block_count)
    yield Finding("layers", "ok", layers)
    yield _measured(settings, installed.path)
    yield from _hash(store, installed, full)
    made = plan(
        header,
        settings.model.context,
        batch=BATCH,
        cache=settings.model.cache_tokens,
        repack=bool(settings.model.repack),
        cache_type=settings.model.cache_type,
        flash_attention=settings.model.flash_attention,
    )
    made.check()
    yield Finding("memory", "ok", made.explain())
    if made.context < settings.model.context:
        yield Finding(
            "memory",
            "note",
            f"The model was trained for {made.context:,} tokens; "
            f"the context of {settings.model.context:,} is cut to that.",
            f"groundling config set model.context {made.context}",
        )


def _embedder(settings: Settings, full: bool) -> Iterator[Finding]:
    store = _store(settings)
    installed = store.installed(settings.model.embedder)
    yield Finding("embedder", "ok", f"{installed.entry.id}: {_size(installed.size)}")
    yield from _hash(store, installed, full)


def _layers(build: Build, wanted: int, blocks: int) -> str:
    layers = build.gpu_layers(wanted, blocks)
    if not build.gpu_offload:
        return f"all {blocks + 1} on the CPU"
    return f"{layers} of {blocks + 1} on {build.backend}"


def _hash(store: ModelStore, installed: InstalledModel, full: bool) -> Iterator[Finding]:
    if not full:
        return
    from groundling.errors import ModelNotFound

    try:
        store.verify(installed.entry.id)
    except ModelNotFound:
        yield Finding("hash", "note", f"{installed.path}: a file of yours; no hash is known")
        return
    yield Finding("hash", "ok", f"{installed.entry.id}: sha256 agrees")


def _knowledge(settings: Settings, _: bool) -> Iterator[Finding]:
    from groundling.knowledge.base import Knowledge

    folder = settings.home / "knowledge"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not names:
        yield Finding("knowledge", "ok", "no knowledge base yet; groundling knowledge add FOLDER")
        return
    embedder = _installed_embedder(settings)
    for name in names:
        check = f"knowledge {name}"
        try:
            with Knowledge.open(folder / name, embedder, create=False) as knowledge:
                problems, size = knowledge.check(), len(knowledge.documents())
        except GroundlingError as error:
            yield _problem(check, error)
            continue
        for problem in problems:
            yield Finding(check, "problem", problem, f"groundling knowledge reindex {name}")
        if not problems:
            yield Finding(check, "ok", f"{size} documents; text, words and vectors agree")


def _traces(settings: Settings, full: bool) -> Iterator[Finding]:
    if not settings.tracing.enabled:
        yield Finding("traces", "note", "nothing is recorded: tracing.enabled is off")
    if not settings.traces_path.exists():
        return
    from groundling.tracing.query import RunFilter
    from groundling.tracing.store import TraceStore

    with TraceStore(settings.traces_path) as store:
        problems = store.problems() if full else []
        runs, dropped = store.count(RunFilter(roots=None)), sum(store.drops().values())
    for problem in problems:
        yield Finding("traces", "problem", problem, "groundling trace repair")
    if dropped:
        text = f"{dropped} runs could not be recorded so far"
        yield Finding("traces", "note", text, "groundling trace stats")
    if not problems:
        size = _size(settings.traces_path.stat().st_size)
        yield Finding("traces", "ok", f"{runs} runs, {size}")


def _installed_embedder(settings: Settings) -> Embedder | None:
    from groundling.errors import ModelError
    from groundling.models.configured import embedding_model

    try:
        return embedding_model(settings)
    except ModelError:
        return None  # reported by its own check


def _store(settings: Settings) -> ModelStore:
    from groundling.models.files.store import ModelStore

    return ModelStore(settings.models_path, settings.download)


def _problem(check: str, error: Exception) -> Finding:
    return Finding(check, "problem", str(error), getattr(error, "hint", None))


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    click.echo(f"{click.style(mark, fg=colour)} {finding.check}: {finding.text}")
    if finding.next:
        click.echo(f"     next: {finding.next}")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
