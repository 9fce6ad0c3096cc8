"""The policy: for each rail and detector, what is done. One TOML file.

The file that comes with Groundling, `data/guard.toml`, explains each entry. A file of one's
own needs only what differs from it.
"""

from __future__ import annotations

import hashlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from groundling.errors import GuardError
from groundling.guardrails.decision import Action, Rail
from groundling.models.prompts import Language

Detector = Literal["personal", "secrets", "injection", "harm", "topic", "grounding"]
DETECTORS: tuple[Detector, ...] = (
    "secrets",
    "personal",
    "injection",
    "harm",
    "topic",
    "grounding",
)
NEED_MODEL: frozenset[Detector] = frozenset({"harm", "topic", "grounding"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Part):
    """What is done with what one detector finds.

    `threshold` is the least score that counts, for each language. `kinds` narrows what
    counts; without it, everything the detector knows does.
    """

    action: Action | Literal["off"] = "off"
    threshold: float | dict[Language, float] = Field(default=0.5)
    kinds: tuple[str, ...] = ()

    def least(self, language: Language) -> float:
        """Return the threshold for a language."""
        if isinstance(self.threshold, dict):
            return self.threshold.get(language, max(self.threshold.values(), default=0.5))
        return self.threshold

    def counts(self, kind: str) -> bool:
        """Tell whether a finding of this kind counts."""
        return not self.kinds or kind in self.kinds


class RailRules(_Part):
    """The rules of one rail, by detector."""

    personal: Rule = Rule()
    secrets: Rule = Rule()
    injection: Rule = Rule()
    harm: Rule = Rule()
    topic: Rule = Rule()
    grounding: Rule = Rule()

    def of(self, detector: Detector) -> Rule:
        """Return the rule for a detector."""
        rule: Rule = getattr(self, detector)
        return rule


class Topics(_Part):
    """What the conversation may be about; nothing is asked where both are empty."""

    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


class Policy(_Part):
    """What guards do; `load` reads it."""

    input: RailRules
    retrieved: RailRules
    tool: RailRules
    output: RailRules
    error: Action
    topics: Topics = Topics()
    notices: dict[Language, dict[str, str]]
    source: str = ""
    sha256: str = ""

    def rules(self, rail: Rail) -> RailRules:
        """Return the rules of a rail."""
        rules: RailRules = getattr(self, rail)
        return rules

    def needs_model(self, rail: Rail) -> bool:
        """Tell whether a rail has a rule that only a model can judge."""
        rules = self.rules(rail)
        return any(rules.of(detector).action != "off" for detector in NEED_MODEL)

    def notice(self, language: Language, detector: str, kind: str, action: Action) -> str:
        """Return what a person is told: of the kind, else of the detector, else of the action."""
        texts = {**self.notices.get("en", {}), **self.notices.get(language, {})}
        names = (f"{detector}.{kind}", f"{detector}.{action}", detector, action)
        return next((texts[name].strip() for name in names if name in texts), "")


def default_text() -> str:
    """Return the file that comes with Groundling."""
    return (resources.files("groundling.data") / "guard.toml").read_text(encoding="utf-8")


def load(path: Path | None = None) -> Policy:
    """Read a policy; what a file of one's own leaves out is as in the one that is shipped.

    Raises:
        GuardError: the file cannot be read, or an entry is unknown or has a wrong value.
    """
    tree = tomllib.loads(default_text())
    text = ""
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
            own = tomllib.loads(text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise GuardError(
                f"The policy file {path} cannot be read: {error}",
                hint=f"groundling guard policy --write {path} starts from the default.",
            ) from error
        _merge(tree, own)
    digest = hashlib.sha256((default_text() + text).encode()).hexdigest()
    tree |= {"source": str(path or "default"), "sha256": digest}
    try:
        return Policy.model_validate(tree)
    except ValidationError as error:
        raise GuardError(
            f"The policy file {path or 'guard.toml'} is wrong: {_first(error)}.",
            hint="groundling guard policy prints the default, with each entry explained.",
        ) from error


def _first(error: ValidationError) -> str:
    # A misspelt key also makes its right spelling missing; the misspelling explains both.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in first["loc"])
    reason = "there is no such entry" if first["type"] == "extra_forbidden" else first["msg"]
    return f"{place}: {reason}"


def _merge(into: dict[str, Any], own: dict[str, Any]) -> None:
    for key, item in own.items():
        if isinstance(item, dict) and isinstance(into.get(key), dict):
            _merge(into[key], item)
        else:
            into[key] = item
