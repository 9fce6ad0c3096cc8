"""The file format of chains, and its checks.

    description = "Draft a text, criticise it, write it again."
    [inputs]
    topic = "what to write about"           # name and what it means

    [[steps]]
    name = "draft"
    system = "You write plainly."           # optional
    prompt = "Write a paragraph about {topic}."
    temperature = 0.7                       # optional, as are max_tokens, top_p, seed
    next = "critique"                       # optional; default: the step below, or "end"

A step can decide instead of write. With `options` the model weighs the options in one
forward pass; with `output`, a JSON Schema, it fills in a form, and `branch_on` names the
field (an enum) that decides. `next` then maps every option to a step or to "end".

Everything is checked when the file is read: names, variables, ways on, and that every
step can be reached and leads to the end.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from groundling.errors import GraphError
from groundling.models.prompts import VARIABLE

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
END = "end"


class Step(BaseModel):
    """One prompt of a chain."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    prompt: str
    system: str | None = None
    options: list[str] = []
    output: dict[str, Any] | None = None
    branch_on: str | None = None
    next: str | dict[str, str] | None = None
    max_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = None

    @property
    def sampling(self) -> dict[str, Any]:
        """The sampling settings that the step sets for itself."""
        names = {"max_tokens", "temperature", "top_p", "seed"}
        return self.model_dump(include=names, exclude_none=True)

    @property
    def variables(self) -> set[str]:
        """The names its prompts use; for `{ticket.kind}` that is `ticket`."""
        text = f"{self.system or ''}\n{self.prompt}"
        return {match[1].partition(".")[0] for match in VARIABLE.finditer(text)}

    @property
    def outcomes(self) -> list[str]:
        """What the step can decide between; empty if it does not decide."""
        if self.branch_on is None:
            return self.options
        field = (self.output or {}).get("properties", {}).get(self.branch_on, {})
        return [str(value) for value in field.get("enum", [])]

    @model_validator(mode="after")
    def _decides_properly(self) -> Self:
        if self.options and self.output:
            raise ValueError(f"step {self.name} has both options and output; take one")
        if self.sampling and (self.options or self.output):
            raise ValueError(f"step {self.name} takes no {min(self.sampling)}: it does not write")
        if self.branch_on and not self.outcomes:
            raise ValueError(
                f"step {self.name} branches on {self.branch_on}, "
                "which is no enum among the properties of its output"
            )
        if isinstance(self.next, dict) and set(self.next) != set(self.outcomes):
            raise ValueError(
                f"step {self.name} decides between {self.outcomes or 'nothing'}, "
                f"but next names {list(self.next)}"
            )
        return self


class Chain(BaseModel):
    """A chain as its file declares it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    description: str
    inputs: dict[Name, str] = Field(min_length=1)
    steps: list[Step] = Field(min_length=1)

    def following(self, step: Step) -> str | dict[str, str]:
        """Return the step after this one, or a step for each outcome."""
        if step.next is not None:
            return step.next
        place = self.steps.index(step) + 1
        return self.steps[place].name if place < len(self.steps) else END

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        names = [step.name for step in self.steps]
        if doubled := {name for name in names if names.count(name) > 1 or name in self.inputs}:
            raise ValueError(f"the name {min(doubled)} is used twice")
        ways: dict[str, set[str]] = {}
        for step in self.steps:
            following = self.following(step)
            targets = [following] if isinstance(following, str) else following.values()
            ways[step.name] = set(targets)
            if unknown := ways[step.name] - {*names, END}:
                raise ValueError(f"step {step.name} goes on to {min(unknown)}, which is no step")
        if lost := set(names) - _reachable(names[0], ways):
            raise ValueError(f"step {min(lost)} is never reached")
        for step in self.steps:
            if END not in _reachable(step.name, ways):
                raise ValueError(f"after step {step.name} the chain never ends")
            before = {name for name in names if step.name in _reachable(name, ways) - {name}}
            if unknown := step.variables - before - set(self.inputs):
                raise ValueError(
                    f"step {step.name} uses {{{min(unknown)}}}, "
                    "which is neither an input nor a step before it"
                )
        return self


def load_chain(name: str) -> Chain:
    """Read a chain.

    Args:
        name: a shipped chain's name, or the path of a TOML file.

    Raises:
        GraphError: there is no such chain, or its file is wrong; the message says where.
    """
    path = Path(name)
    if path.suffix == ".toml":
        file = path
    elif name in shipped_chains():
        file = Path(str(resources.files("groundling.data") / "chains" / f"{name}.toml"))
    else:
        raise GraphError(
            f"There is no chain {name}.",
            hint=f"Give the path of a .toml file, or one of {', '.join(shipped_chains())}.",
        )
    try:
        declared = tomllib.loads(file.read_text(encoding="utf-8"))
        return Chain.model_validate({"name": file.stem, **declared})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GraphError(f"The chain file {file} cannot be read: {error}") from error
    except ValidationError as error:
        # A misspelt key also makes its right spelling missing; the misspelling explains both.
        first = min(error.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise GraphError(
            f"The chain file {file} is wrong{place and f' at {place}'}: {reason}."
        ) from error


def shipped_chains() -> list[str]:
    """Name the chains that come with Groundling."""
    folder = resources.files("groundling.data") / "chains"
    return sorted(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )


def _reachable(start: str, ways: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    open_ = [start]
    while open_:
        name = open_.pop()
        if name not in seen:
            seen.add(name)
            open_ += ways.get(name, set())
    return seen
