"""Settings: one class, four origins, one dial.

A value comes from the first of these that has it: a command-line flag (passed in as an
argument here), the environment (`GROUNDLING_MODEL__CONTEXT=8192`), `config.toml` in the
home folder, the profile, the default. `origins` tells which one it was.

`profile` is the dial to turn first: it sets context, retrieval budget and answer length
together. Nothing else in the project reads the environment.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs
import tomli_w
from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from groundling.errors import SettingsError
from groundling.sections import (
    ConversationSettings,
    DownloadSettings,
    FactSettings,
    GuardSettings,
    McpServer,
    MemorySettings,
    ModelSettings,
    RetrievalSettings,
    ServerSettings,
    ToolSettings,
    TracingSettings,
    server_address,
)

__all__ = [
    "ConversationSettings",
    "DownloadSettings",
    "FactSettings",
    "GuardSettings",
    "McpServer",
    "MemorySettings",
    "ModelSettings",
    "Profile",
    "RetrievalSettings",
    "ServerSettings",
    "Settings",
    "ToolSettings",
    "TracingSettings",
    "load",
    "server_address",
]

CONFIG_FILE = "config.toml"
TRACING_SWITCHES = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Tree = dict[str, Any]


class Profile(StrEnum):
    """How much machine to use: about 4, 8 or 16 GB of memory."""

    SMALL = "small"
    BALANCED = "balanced"
    LARGE = "large"


PROFILES: dict[Profile, Tree] = {
    Profile.SMALL: {
        "model": {"context": 2048, "max_tokens": 256},
        "retrieval": {"passages": 2, "budget_tokens": 450},
    },
    Profile.BALANCED: {},
    Profile.LARGE: {
        "model": {"context": 16384, "max_tokens": 1024},
        "retrieval": {"passages": 12, "budget_tokens": 3000},
    },
}


class Settings(BaseSettings):
    """All settings of one home folder; `load` is the way to make one."""

    model_config = SettingsConfigDict(
        env_prefix="GROUNDLING_", env_nested_delimiter="__", extra="forbid"
    )

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("groundling")),
        description="where everything is kept",
    )
    profile: Profile = Field(Profile.BALANCED, description="small, balanced or large")
    model: ModelSettings = Field(default_factory=ModelSettings)
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings)
    download: DownloadSettings = Field(default_factory=DownloadSettings)
    conversation: ConversationSettings = Field(default_factory=ConversationSettings)
    memory: MemorySettings = Field(default_factory=MemorySettings)
    tools: ToolSettings = Field(default_factory=ToolSettings)
    facts: FactSettings = Field(default_factory=FactSettings)
    guard: GuardSettings = Field(default_factory=GuardSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)

    @property
    def models_path(self) -> Path:
        return self.home / "models"

    @property
    def state_path(self) -> Path:
        return self.home / "state.sqlite"

    @property
    def memories_path(self) -> Path:
        return self.home / "memories.sqlite"

    @property
    def facts_path(self) -> Path:
        return self.home / "facts.sqlite"

    @property
    def traces_path(self) -> Path:
        return self.home / "traces.sqlite"

    @property
    def evaluation_path(self) -> Path:
        return self.home / "evaluation.sqlite"

    @property
    def server_path(self) -> Path:
        """Threads, runs and assistants of the server."""
        return self.home / "server.sqlite"

    @property
    def people_path(self) -> Path:
        """Users, their keys, what is whose, and the audit log."""
        return self.home / "people.sqlite"

    @property
    def store_path(self) -> Path:
        """LangGraph's store: items by namespace."""
        return self.home / "store.sqlite"

    @property
    def adapters_path(self) -> Path:
        """What training made: adapters by name, and which is promoted."""
        return self.home / "adapters"

    @property
    def tuning_path(self) -> Path:
        """What models learn from, and training runs."""
        return self.home / "tuning"

    def knowledge_path(self, name: str | None = None) -> Path:
        return self.home / "knowledge" / (name or self.retrieval.knowledge)

    @property
    def config_path(self) -> Path:
        return self.home / CONFIG_FILE

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `load` merged and nothing else: it knows the origins."""
        return (init_settings,)


class Origins(dict[str, str]):
    """Maps a dotted setting name to where its value came from."""


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings from all their origins.

    Args:
        flags: values that win over everything, nested like the settings themselves.

    Raises:
        SettingsError: a value of a wrong type, an unknown name, or a broken file.
    """
    settings, _ = load_with_origins(flags)
    return settings


def load_with_origins(flags: Mapping[str, Any] | None = None) -> tuple[Settings, Origins]:
    """Read the settings and tell, for each one that is set, which origin set it."""
    layers: list[tuple[str, Tree]] = [
        ("flag", dict(flags or {})),
        ("environment", EnvSettingsSource(Settings)()),
    ]
    home = _first(layers, "home") or Settings.model_fields["home"].get_default(
        call_default_factory=True, validated_data={}
    )
    config = Path(home).expanduser() / CONFIG_FILE
    layers.append((str(config), _read_toml(config)))
    profile = _first(layers, "profile")
    if profile in tuple(Profile):
        layers.append((f"profile {profile}", PROFILES[Profile(profile)]))

    merged: Tree = {}
    origins = Origins()
    for name, layer in reversed(layers):
        _merge(merged, layer)
        origins.update((leaf, name) for leaf, _ in leaves(layer))
    merged["home"] = Path(home).expanduser().absolute()
    try:
        return Settings.model_validate(merged), origins
    except ValidationError as error:
        raise _explain(error, origins) from error


def write(config: Path, name: str, value: str) -> None:
    """Set one dotted name in the configuration file, keeping the others.

    The value is read as TOML where that is possible and as plain text otherwise. The file
    is written beside the old one and renamed, and only if the result is valid.

    Raises:
        SettingsError: the name is unknown, or the value has the wrong type.
    """
    tree = _read_toml(config)
    *sections, last = name.split(".")
    branch = tree
    for section in sections:
        branch = branch.setdefault(section, {})
    try:
        branch[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        branch[last] = value
    try:
        Settings.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, Origins({name: "groundling config set"})) from error
    config.parent.mkdir(parents=True, exist_ok=True)
    beside = config.with_suffix(".toml.new")
    beside.write_text(tomli_w.dumps(tree), encoding="utf-8")
    beside.replace(config)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of a nested mapping with its dotted name."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def keep_private(settings: Settings | None = None) -> str | None:
    """Turn off what libraries would send elsewhere, and have checkpoints load no code.

    A shell set up for LangSmith uploads every prompt of every LangChain program started
    from it. Here runs are sent to this machine or nowhere, unless `tracing.upload` is set.

    Returns:
        What was turned off although the shell asked for it, to be shown to the person.
    """
    os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    wanted = [name for name in TRACING_SWITCHES if os.environ.get(name, "").lower() == "true"]
    allowed = settings is not None and settings.tracing.upload
    if not wanted or allowed or all(_is_here(address) for address in _trace_targets()):
        return None
    for name in wanted:
        os.environ[name] = "false"
    # LangSmith's client remembers what it read.
    if (utils := sys.modules.get("langsmith.utils")) is not None:
        utils.get_env_var.cache_clear()
    return (
        f"{wanted[0]} would send your prompts to another machine; it is off for this process. "
        "To allow it: groundling config set tracing.upload true"
    )


def _trace_targets() -> list[str]:
    """Return the addresses to which LangSmith's client would send runs."""
    prefixes = ("LANGSMITH_", "LANGCHAIN_")
    targets = [os.environ.get("LANGSMITH_ENDPOINT") or os.environ.get("LANGCHAIN_ENDPOINT") or ""]
    for prefix in prefixes:
        # Written as JSON, an object by address or a list of objects that have one.
        targets += re.findall(
            r"https?://[^\s\"',}]+", os.environ.get(f"{prefix}RUNS_ENDPOINTS", "")
        )
    if any(os.environ.get(f"{prefix}OTEL_ENABLED", "") == "true" for prefix in prefixes):
        targets.append(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""))
    return targets


def _is_here(address: str) -> bool:
    return urlsplit(address).hostname in LOOPBACK


def environment() -> MutableMapping[str, str]:
    """Return the process environment, for the few places that must honour others' names.

    Those are the package index settings of pip and uv, and libgomp's wait policy, which is
    also set there.
    """
    return os.environ


def _first(layers: list[tuple[str, Tree]], key: str) -> Any:
    return next((layer[key] for _, layer in layers if layer.get(key) is not None), None)


def _merge(into: Tree, layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _read_toml(config: Path) -> Tree:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"{config} cannot be read: {error}",
            hint="Mend the file, or move it away to start from the defaults.",
        ) from error


def _explain(error: ValidationError, origins: Origins) -> SettingsError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    reason = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
    origin = f" (from {origins[name]})" if name in origins else ""
    return SettingsError(
        f"Setting {name}{origin}: {reason}.",
        hint="groundling config show lists every setting with its value and origin.",
    )
