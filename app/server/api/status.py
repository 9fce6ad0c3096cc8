"""The state of the server: its model, the machine, the queue, its settings without secrets."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from pydantic import JsonValue
from starlette.requests import Request

from groundling.errors import GroundlingError
from groundling.server.api.endpoint import Answer, endpoint
from groundling.server.people.roles import require
from groundling.server.person import Role, person_of
from groundling.server.services import Services, services
from groundling.settings import Settings, leaves
from groundling.tracing.statistics import statistics

if TYPE_CHECKING:
    from groundling.models.gguf import GgufHeader

TAG = "Status"
_DAY = 86_400 * 10**6  # microseconds
# fmt: off
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16",
}
# fmt: on


class ModelShown(Answer):
    """The chat model; of one on another server no size is known."""

    name: str
    title: str
    installed: bool
    loaded: bool
    remote: bool
    size_bytes: int | None
    context: int
    trained_context: int | None
    architecture: str | None
    quantisation: str | None


class EmbedderShown(Answer):
    """The model that finds documents by their meaning."""

    name: str
    installed: bool


class Machine(Answer):
    """The machine; sizes in bytes."""

    cpu: str
    cores: int
    memory_total: int
    memory_free: int
    disk_total: int
    disk_free: int


class Process(Answer):
    """The server's process."""

    memory: int
    cpu_seconds: float
    threads: int


class Queue(Answer):
    """Runs that wait for their place, and that have one."""

    waiting: int
    running: int


class Speed(Answer):
    """What the last 24 hours came to; times are medians, of the most used graph."""

    runs: int
    errors: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    cache_share: float | None
    tokens_per_second: float | None
    first_token: float | None


class PersonShown(Answer):
    """Who asks."""

    id: str
    role: Role
    via: str


class Status(Answer):
    """The state of the server; `people` tells whether there are users."""

    version: str
    state: str
    reason: str | None
    hint: str | None
    seconds: float
    model: ModelShown
    embedder: EmbedderShown
    machine: Machine
    process: Process
    queue: Queue
    speed: Speed
    person: PersonShown
    people: bool


class Setting(Answer):
    """A setting, as it is and as it is by default."""

    name: str
    value: JsonValue
    default: JsonValue
    description: str


class SettingList(Answer):
    """The settings; secrets and places on this machine are left out."""

    settings: list[Setting]


@endpoint("GET", "/api/status", tag=TAG)
async def status(request: Request) -> Status:
    """Tell how the server is."""
    held, person = services(request), person_of(request)
    server = getattr(request.app.state, "server", None)
    queue = Queue(waiting=held.runs.admission.waiting, running=held.runs.admission.running)

    def read() -> Status:
        process = psutil.Process()
        with process.oneshot():
            spent = process.cpu_times()
            about = Process(
                memory=process.memory_info().rss,
                cpu_seconds=round(spent.user + spent.system, 2),
                threads=process.num_threads(),
            )
            seconds = time.time() - process.create_time()
        return Status(
            version=version("groundling"),
            state=str(getattr(server, "state", "ready")),
            reason=getattr(server, "reason", None),
            hint=getattr(server, "hint", None),
            seconds=round(seconds, 1),
            model=_model(held),
            embedder=_embedder(held),
            machine=_machine(held.settings),
            process=about,
            queue=queue,
            speed=_speed(held),
            person=PersonShown(id=person.id, role=person.role, via=person.via),
            people=held.people.required,
        )

    return await held.work(read)


@endpoint("GET", "/api/settings", tag=TAG)
async def settings(request: Request) -> SettingList:
    """List the settings of the server."""
    require(request, Role.ADMIN)
    return await services(request).work(_settings, services(request).settings)


def _model(held: Services) -> ModelShown:
    wanted = held.settings.model
    shown: dict[str, Any] = dict.fromkeys(
        ("size_bytes", "trained_context", "architecture", "quantisation")
    )
    name = Path(wanted.name).stem if Path(wanted.name).suffix == ".gguf" else wanted.name
    shown |= {
        "name": name,
        "title": name,
        "installed": wanted.base_url is not None,
        "loaded": False,
        "remote": wanted.base_url is not None,
        "context": wanted.context,
    }
    if wanted.base_url is None:
        with suppress(GroundlingError, OSError):
            model = held.home.models.resolve(wanted.name)
            shown |= {
                "title": model.entry.title,
                "installed": True,
                "size_bytes": model.size,
                "loaded": model.path.resolve() in _loaded(),
            }
            header = _header(model.path, model.path.stat().st_mtime_ns)
            shown |= {
                "trained_context": header.context_length or None,
                "architecture": header.architecture or None,
                "quantisation": _quantisation(header),
            }
    return ModelShown(**shown)


def _embedder(held: Services) -> EmbedderShown:
    name = held.settings.model.embedder
    installed = name.startswith("hf:")
    with suppress(GroundlingError, OSError):
        held.home.models.resolve(name)
        installed = True
    return EmbedderShown(name=name, installed=installed)


def _loaded() -> set[Path]:
    """Return the files of models whose weights are in memory."""
    engines = sys.modules.get("groundling.models.engines")
    return {each.path.resolve() for each in engines.shared()} if engines else set()


@lru_cache(maxsize=4)
def _header(path: Path, _: int) -> GgufHeader:
    from groundling.models.gguf import read_gguf

    return read_gguf(path)


def _quantisation(header: GgufHeader) -> str | None:
    """Return the quantisation's name; llama.cpp numbers it, see `llama_ftype` in llama.h."""
    return _FILE_TYPES.get(-1 if header.file_type is None else header.file_type)


def _machine(settings: Settings) -> Machine:
    from groundling.models.cpu import read_cpu

    memory = psutil.virtual_memory()
    there = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    disk = shutil.disk_usage(there)
    return Machine(
        cpu=read_cpu().name,
        cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        memory_total=memory.total,
        memory_free=memory.available,
        disk_total=disk.total,
        disk_free=disk.free,
    )


def _speed(held: Services) -> Speed:
    since = time.time_ns() // 1000 - _DAY
    graphs = [row for row in statistics(held.traces, since=since) if row.node is None]
    given = sum(row.input_tokens for row in graphs)
    cached = sum(row.cached_tokens for row in graphs)
    return Speed(
        runs=sum(row.count for row in graphs),
        errors=sum(row.errors for row in graphs),
        tokens_in=given,
        tokens_out=sum(row.output_tokens for row in graphs),
        tokens_cached=cached,
        cache_share=cached / given if given else None,
        tokens_per_second=next((row.speed for row in graphs if row.speed is not None), None),
        first_token=next((row.first_token for row in graphs if row.first_token is not None), None),
    )


def _settings(held: Settings) -> SettingList:
    default = dict(leaves(Settings.model_construct().model_dump()))
    return SettingList(
        settings=[
            Setting(name=name, value=value, default=default.get(name), description=_about(name))
            for name, value in leaves(held.model_dump())
            if _may_be_seen(name, value) and _may_be_seen(name, default.get(name))
        ]
    )


def _may_be_seen(name: str, value: Any) -> bool:
    """Tell whether a value is neither a secret nor a place on this machine."""
    if name.startswith("tools.mcp."):  # programs, addresses and keys of others' servers
        return False
    if isinstance(value, (list, tuple)):
        return all(_may_be_seen(name, each) for each in value)
    if isinstance(value, str):
        return not value.startswith(("/", "~")) and "@" not in value
    return value is None or isinstance(value, (bool, int, float))


def _about(name: str) -> str:
    section, dot, rest = name.partition(".")
    field = Settings.model_fields[section]
    if dot:
        kind: Any = field.annotation
        field = kind.model_fields[rest.partition(".")[0]]
    return field.description or ""


ENDPOINTS = [status, settings]
