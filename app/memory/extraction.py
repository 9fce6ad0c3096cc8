"""What a person said of themselves in a message, as short facts.

Only the person's own words are read: never documents, tool results or what the model wrote,
nor what is quoted or fenced within a message. Rules tell most messages that say nothing of
their writer; the model weighs the others in one forward pass, and only where it says yes
are facts written, in a form that a grammar holds. A fact has to be made of the message's
words and figures, so that neither a guess nor an example of the prompt is remembered.

Secrets are blacked out before the model reads the message, and a fact with one in it is
dropped; personal data (numbers, addresses of all kinds) likewise, unless it is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel

from groundling.errors import MemoriesError
from groundling.guardrails.detector import PLACEHOLDER, Detector
from groundling.guardrails.personal import PersonalData
from groundling.guardrails.redact import redact
from groundling.guardrails.secrets import Secrets
from groundling.knowledge.analyser import analyse
from groundling.memory.memory import LONGEST, clean
from groundling.memory.topics import KINDS
from groundling.models.decide import decide
from groundling.models.prompts import Language, language_of, prompt

LONGEST_MESSAGE = 1500  # characters that the model reads
MOST_FACTS = 4  # of one message
SAYS_SOMETHING = 0.5  # probability of "yes" from which on facts are written
GROUNDED = 0.5  # share of a fact's words that the message must have

_QUOTED = re.compile(r"```.*?(?:```|\Z)|^\s*>.*$", re.DOTALL | re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?。…])\s+|\n+")
_ENGLISH_SELF = re.compile(
    r"\b(?:i|i['’](?:m|ve|d|ll)|me|my|mine|myself|we|our|us|ours|remember)\b", re.IGNORECASE
)
_ASKS = re.compile(
    r"[?？]\s*$|(?:인가요|나요|까요|니까|는지|을까|줘|주세요|주라|해라|하세요)[\s.!]*$"
)
_KOREAN_SELF = re.compile(
    r"(?:^|\s)(?:나|난|내|내가|나는|저|전|제|제가|저는|저희|우리|나의|저의)(?=\s|는|도|의|를|가)|기억해"
)
_FIGURE = re.compile(r"\d+")
# Words with which facts are told of a person; they need not be in the message.
_PERSON = frozenset(analyse("user person name named called live works like prefers wants own is"))
_PERSON_KO = re.compile(r"사용자(?:는|은|의|가|에게)?\s*")


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact about the person, and what it is about."""

    text: str
    kind: str


async def find_facts(
    message: str, model: BaseChatModel, *, personal: bool = False, most: int = MOST_FACTS
) -> list[Fact]:
    """Return the lasting facts that a person's message tells of them.

    Args:
        message: their own words.
        model: weighs and writes.
        personal: whether personal data may be in them; secrets never may.
        most: so many facts at most.

    Raises:
        Exception: the model's own errors; a form that was cut short gives no facts.
    """
    own = own_words(message)
    if not own:
        return []
    detectors: list[Detector] = [Secrets()] if personal else [Secrets(), PersonalData()]
    shown, _ = redact(own, detectors)
    language = language_of(shown)
    if await _tells(shown, model, language) < SAYS_SOMETHING:
        return []
    used = prompt("memory_facts", language)
    form = model.with_structured_output(schema(most), method="json_schema")
    reply = await form.ainvoke(used.messages(message=shown), used.quiet)
    found: dict[str, Fact] = {}
    for fact in _listed(reply, shown, most):
        if redact(fact.text, detectors)[0] == fact.text:
            found.setdefault(fact.text, fact)
    return list(found.values())


def own_words(message: str) -> str:
    """Return the part of a message in which its writer may tell something of themselves.

    Empty where rules show that there is none: quotations, code, and questions or requests
    that do not mention the one who asks.
    """
    sentences = [
        sentence.strip()
        for sentence in _SENTENCE.split(_QUOTED.sub("\n", message[: 20 * LONGEST_MESSAGE]))
        if sentence.strip()
    ]
    kept = [sentence for sentence in sentences if _may_tell(sentence)]
    return "\n".join(kept)[:LONGEST_MESSAGE] if kept else ""


def _may_tell(sentence: str) -> bool:
    if language_of(sentence) == "en":
        return any(map(str.isalpha, sentence)) and bool(_ENGLISH_SELF.search(sentence))
    # Korean leaves the subject out: only a request without one is about something else.
    return not _ASKS.search(sentence) or bool(_KOREAN_SELF.search(sentence))


async def _tells(message: str, model: BaseChatModel, language: Language) -> float:
    used = prompt("memory_gate", language)
    weights = await decide(model, used.messages(message=message), ["yes", "no"], used.quiet)
    return weights["yes"]


def schema(most: int) -> dict[str, Any]:
    """Return the JSON Schema of a message's facts."""
    fact = {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": list(KINDS)},
            "fact": {"type": "string", "maxLength": LONGEST},
        },
        "required": ["kind", "fact"],
        "additionalProperties": False,
    }
    return {
        "title": "Facts",
        "description": "What the person says of themselves.",
        "type": "object",
        "properties": {"facts": {"type": "array", "items": fact, "maxItems": most}},
        "required": ["facts"],
        "additionalProperties": False,
    }


def _listed(reply: object, message: str, most: int) -> Sequence[Fact]:
    listed = reply.get("facts", []) if isinstance(reply, Mapping) else []
    facts: list[Fact] = []
    for one in listed[:most] if isinstance(listed, list) else []:
        if not isinstance(one, Mapping) or not isinstance(one.get("fact"), str):
            continue
        kind = one.get("kind")
        try:
            text = clean(one["fact"])
        except MemoriesError:  # empty or endless
            continue
        if not PLACEHOLDER.search(text) and is_grounded(text, message):
            facts.append(Fact(text, kind if kind in KINDS else "fact"))
    return facts


def is_grounded(fact: str, message: str) -> bool:
    """Tell whether a fact is made of a message: all its figures and half of its words."""
    if not set(_FIGURE.findall(fact)) <= set(_FIGURE.findall(message)):
        return False
    words = set(analyse(_PERSON_KO.sub("", fact))) - _PERSON
    return bool(words) and len(words & set(analyse(message))) >= GROUNDED * len(words)
