"""From what a run says it was made of to settings and a model, and what has changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import ValidationError

from groundling.errors import EvaluationError, GraphError
from groundling.graphs.provenance import (
    RETRIEVAL,
    Provenance,
    adapters_told,
    chain_hash,
    documents_hash,
    model_file,
)
from groundling.home import Home
from groundling.models.adapter_names import NONE, answering
from groundling.models.calling import shown_name
from groundling.models.configured import chat_model
from groundling.models.prompts import prompt
from groundling.settings import ModelSettings, RetrievalSettings, Settings

_SAMPLER = ("top_p", "top_k", "min_p", "repeat_penalty")
_PREFIX = "retrieval."


def settings_of(settings: Settings, made_of: Provenance, model: str | None = None) -> Settings:
    """Return the settings that a run was made with.

    Args:
        settings: of the home folder: what the run does not say is taken from them, such as
            threads; and what it may not decide, such as a server's address.
        made_of: what the run says.
        model: another model than it had.

    Raises:
        EvaluationError: its model is one that settings cannot describe, or ran on a server
            that they do not name.
    """
    if model is None and made_of.model_class is not None:
        raise EvaluationError(
            f"The run's model was {made_of.model_class}, given in by a program: it cannot be "
            "made again.",
            hint="Replay it with a model of this machine: groundling trace replay RUN --model ID",
        )
    configured = settings.model
    if made_of.server is not None and model is None and configured.base_url is None:
        raise EvaluationError(
            f"The run's model ran on the server {made_of.server}; none is configured now.",
            hint=f"groundling config set model.base_url {made_of.server}, or --model ID",
        )
    changed: dict[str, Any] = {name: ModelSettings.model_fields[name].default for name in _SAMPLER}
    changed |= {name: value for name, value in made_of.settings.items() if name in _SAMPLER}
    for name in ("seed", "temperature", "max_tokens", "context"):
        if (value := getattr(made_of, name)) is not None:
            changed[name] = value
    changed["name"] = model or _name(made_of, configured)
    if made_of.server is None:
        changed["base_url"] = None
        if model is None:
            changed["adapter"] = made_of.adapter or NONE
    fields = RetrievalSettings.model_fields
    limits = {name: fields[name].get_default(call_default_factory=True) for name in RETRIEVAL}
    limits |= {
        name.removeprefix(_PREFIX): value
        for name, value in made_of.settings.items()
        if name.removeprefix(_PREFIX) in limits and name.startswith(_PREFIX)
    }
    try:
        return settings.model_copy(
            update={
                "model": ModelSettings.model_validate(configured.model_dump() | changed),
                "retrieval": settings.retrieval.model_copy(update=limits),
            }
        )
    except ValidationError as error:
        raise _unreadable(error) from error


def model_of(home: Home, settings: Settings, made_of: Provenance) -> BaseChatModel:
    """Make the model that settings describe, with what only the run says of its sampler.

    Raises:
        EvaluationError: that is no setting of it.
        ModelNotFound: it is not on this machine.
    """
    if settings.model.base_url is None:
        home.models.resolve(settings.model.name)
    made = chat_model(settings)
    known = type(made).model_fields
    others = {
        name: value
        for name, value in made_of.settings.items()
        if name not in _SAMPLER and name in known
    }
    try:
        whole = {name: getattr(made, name) for name in known} | others
        checked = type(made).model_validate(whole)
    except ValidationError as error:
        raise _unreadable(error) from error
    return made.model_copy(update={name: getattr(checked, name) for name in others})


def changes(home: Home, made_of: Provenance, prompts: Mapping[str, str]) -> Iterator[str]:
    """Say what is no longer as it was when a graph was made.

    Args:
        home: the home folder.
        made_of: what the graph was made of.
        prompts: hashes of the prompts that it used, by name.

    Raises:
        AdapterError: its adapter is gone.
    """
    if made_of.model is not None and made_of.model_file is not None:
        now = model_file(_name(made_of, home.settings.model), home.settings)
        if now is not None and now != made_of.model_file:
            yield f"The file of the model {made_of.model} has changed: {now}."
    if made_of.adapter is not None and _made_anew(home, made_of):
        yield f"The adapter {made_of.adapter} was trained anew since."
    if made_of.server not in (None, home.settings.model.base_url):
        yield (
            f"The model ran on the server {made_of.server}; now {home.settings.model.base_url} "
            "is asked."
        )
    if made_of.knowledge is not None and made_of.documents is not None:
        now = documents_hash(home.knowledge(made_of.knowledge), home.settings)
        if now != made_of.documents:
            yield (
                f"The documents of {made_of.knowledge}, or their embedder, have changed since "
                "the graph was made."
            )
    kind, _, chain = made_of.graph.partition(":")
    if kind == "chain" and made_of.chain is not None and chain_hash(chain) != made_of.chain:
        yield f"The chain {chain} has changed."
    for name, sha256 in prompts.items():
        now = _prompt_hash(name)
        if now != sha256:
            yield (
                f"The prompt {name} has changed." if now else f"There is no prompt {name} any more."
            )


def _made_anew(home: Home, made_of: Provenance) -> bool:
    model = home.models.resolve(_name(made_of, home.settings.model)).path
    now = adapters_told(answering(home.settings, model, made_of.adapter))
    return now["adapter_made"] != made_of.adapter_made


def _name(made_of: Provenance, configured: ModelSettings) -> str:
    """Return the model's name as settings have it; a file's folder is not recorded."""
    name = made_of.model
    if name is None or shown_name(configured.name) == name:
        return configured.name
    return name


def _prompt_hash(name: str) -> str | None:
    stem, _, language = name.rpartition(".")
    if language not in ("en", "ko"):
        return None
    try:
        return prompt(stem, language).sha256
    except GraphError:
        return None


def _unreadable(error: ValidationError) -> EvaluationError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return EvaluationError(f"The run's settings cannot be used: {place}: {first['msg']}.")
