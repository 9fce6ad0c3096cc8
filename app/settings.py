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
from typing import Any, Literal
from urllib.parse import urlsplit

import platformdirs
import tomli_w
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from groundling.errors import SettingsError

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


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(extra="forbid")


class ModelSettings(Section):
    """The chat model and how it is run."""

    name: str = Field("qwen2.5-coder-1.5b", description="catalogue id, or the path of a GGUF file")
    base_url: str | None = Field(
        None,
        description="an OpenAI-compatible server that runs the chat model instead, "
        "such as http://127.0.0.1:8080/v1; `model.name` is then its name for the model",
    )
    api_key: SecretStr | None = Field(None, description="that server's key")
    embedder: str = Field("minilm-l6", description="catalogue id of the embedding model")
    context: int = Field(4096, ge=256, description="context window, in tokens")
    max_tokens: int = Field(512, ge=1, description="longest answer, in tokens")
    temperature: float = Field(
        0.0, ge=0.0, le=5.0, description="0 always takes the likeliest token"
    )
    top_p: float = Field(0.95, gt=0.0, le=1.0, description="nucleus sampling")
    top_k: int = Field(40, ge=0, description="0 keeps every token")
    min_p: float = Field(
        0.05, ge=0.0, le=1.0, description="least probability, as a share of the likeliest token's"
    )
    repeat_penalty: float = Field(1.0, gt=0.0, description="1 is none")
    seed: int = Field(0, ge=0, le=2**32 - 2, description="the same seed gives the same sample")
    threads: int | None = Field(
        None, ge=1, description="default: as measured, else the physical cores"
    )
    gpu_layers: int = Field(-1, ge=-1, description="layers on the GPU; -1: all, where there is one")
    flash_attention: bool = Field(
        True, description="measured faster where several calls are served at once"
    )
    cache_tokens: int | None = Field(
        None, ge=256, description="tokens kept for all callers; default: twice the context"
    )
    cache_type: Literal["f16", "q8_0"] = Field(
        "f16", description="how they are kept; q8_0 takes half the memory"
    )
    parallel: int = Field(16, ge=1, le=128, description="calls that are written at once")
    queue: int = Field(1024, ge=0, description="calls that may wait")
    speculate: int = Field(
        6, ge=0, le=15, description="tokens guessed ahead where a text repeats itself; 0: none"
    )
    isolated: bool = Field(
        False, description="run the model in a process of its own, which may crash alone"
    )
    repack: bool | None = Field(
        None,
        description="repacked weights: faster decode, often slower prefill, and 0.57 times "
        "the file more memory; default: as measured, else off",
    )
    measure: bool = Field(
        True, description="measure once, before its first use, how a model runs best here"
    )

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else server_address(value)


class RetrievalSettings(Section):
    """What reaches the model from the documents."""

    knowledge: str = Field("default", description="which knowledge base")
    passages: int = Field(3, ge=1, description="passages given to the model")
    budget_tokens: int = Field(700, ge=64, description="tokens they may take together")
    chunk_characters: int = Field(
        700, ge=100, le=8000, description="length of a passage; of documents added from now on"
    )


class DownloadSettings(Section):
    """Where model files may come from."""

    offline: bool = Field(False, description="never reach for the network")
    hub_endpoint: str | None = Field(None, description="another model hub")
    hub_token: SecretStr | None = Field(None, description="default: the hub library's own login")
    index_url: str | None = Field(None, description="another Python package index")
    timeout: float = Field(30.0, gt=0.0, description="seconds without a byte: the server is gone")


class TracingSettings(Section):
    """What is recorded of runs, and for how long."""

    enabled: bool = Field(True, description="record what graphs and models do, on this machine")
    redact: bool = Field(
        True, description="black out secrets and personal data before a run is stored"
    )
    project: str = Field("default", min_length=1, description="name that runs are filed under")
    keep_days: int = Field(
        30,
        ge=0,
        description="days that runs are kept; those with feedback or of experiments stay",
    )
    keep_bytes: int = Field(
        2_000_000_000, ge=1_000_000, description="size above which the oldest runs are removed"
    )
    upload: bool = Field(
        False,
        description="let LANGSMITH_TRACING of the environment send runs to another machine",
    )


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
    tracing: TracingSettings = Field(default_factory=TracingSettings)

    @property
    def models_path(self) -> Path:
        return self.home / "models"

    @property
    def state_path(self) -> Path:
        return self.home / "state.sqlite"

    @property
    def traces_path(self) -> Path:
        return self.home / "traces.sqlite"

    @property
    def evaluation_path(self) -> Path:
        return self.home / "evaluation.sqlite"

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


def server_address(value: str) -> str:
    """Return the address of a model server, without the slash at its end.

    Raises:
        ValueError: it is no http address, or carries a login, which would end up in logs.
    """
    address = urlsplit(value.strip())
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError("wants an address like http://127.0.0.1:8080/v1")
    if "@" in address.netloc:
        raise ValueError("must not carry a login; give the key as model.api_key")
    if address.query or address.fragment:
        raise ValueError("must end with its path, such as /v1")
    return value.strip().rstrip("/")


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
