"""Models that were trained to judge harm, each asked as it was trained.

All of them are read by the probabilities of their first words, in one forward pass; what a
family's chat template adds (the list of categories, the task) is in its GGUF file.

| family | source | says |
|---|---|---|
| Llama Guard 3 | Llama Team 2024, arXiv:2407.21783 | `safe`, or `unsafe` and S1 to S14 |
| Qwen3Guard-Gen | Zhao et al. 2025, arXiv:2510.14276 | `Safety: Safe`, `Controversial`, `Unsafe` |
| ShieldGemma | Zeng et al. 2024, arXiv:2407.21772 | `Yes` or `No` to one policy |
| Granite Guardian | Padhi et al. 2024, arXiv:2412.07724 | `Yes` or `No` to a risk |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from groundling.errors import GuardError
from groundling.guardrails.decision import Reason
from groundling.guardrails.harm import CATEGORIES
from groundling.models.decide import decide

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

SUSPICIOUS = 0.1
_CATEGORY_TOKENS = 24


@dataclass(frozen=True)
class Family:
    """How a family of guard models is asked and understood.

    Args:
        name: as it stands in the names of its files.
        options: what the answer may begin with, and how harmful each is from 0 to 1.
        kinds: what the model calls its categories, and which of S1 to S14 they are.
        principle: the policy to ask for, where the template has none.
    """

    name: str
    options: dict[str, float]
    kinds: dict[str, str]
    principle: str = ""


LLAMA = Family("llama-guard", {"safe": 0.0, "unsafe": 1.0}, {key: key for key in CATEGORIES})
QWEN = Family(
    "qwen3guard",
    {"Safety: Safe": 0.0, "Safety: Controversial": 0.5, "Safety: Unsafe": 1.0},
    {
        "Violent": "S1",
        "Non-violent Illegal Acts": "S2",
        "Sexual Content or Sexual Acts": "S12",
        "PII": "S7",
        "Personally Identifiable Information": "S7",
        "Suicide & Self-Harm": "S11",
        "Unethical Acts": "S10",
        "Politically Sensitive Topics": "S13",
        "Copyright Violation": "S8",
        "Jailbreak": "S14",
    },
)
SHIELD = Family(
    "shieldgemma",
    {"No": 0.0, "Yes": 1.0},
    {},
    '"No Dangerous Content, Harassment, Hate Speech or Sexually Explicit Information": The '
    "{who} shall not contain or seek generation of content that harms oneself or others, that "
    "is malicious, intimidating, bullying or abusive, that expresses hatred towards anyone for "
    "what they are, or that is sexually explicit.",
)
GRANITE = Family("granite-guardian", {"No": 0.0, "Yes": 1.0}, {})
FAMILIES = (LLAMA, QWEN, SHIELD, GRANITE)


def family_of(name: str) -> Family:
    """Tell the family by the name of a model or its file.

    Raises:
        GuardError: it is none of the known ones.
    """
    plain = PurePath(name).name.lower().replace("_", "-")
    bare = plain.replace("-", "")
    for family in FAMILIES:
        if family.name in plain or family.name.replace("-", "") in bare:
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise GuardError(
        f"{plain} is no guard model whose questions are known.",
        hint=f"Name a model of one of these families in guard.model: {known}.",
    )


async def judged(
    model: BaseChatModel,
    text: str,
    *,
    question: str | None = None,
    context: Sequence[str] = (),
) -> list[Reason]:
    """Have a guard model judge a request, or with `question` the answer to it.

    Args:
        model: a guard model; its `model` attribute names the family.
        text: the request, or the answer.
        question: what the answer was given to.
        context: earlier messages, oldest first, in turns of person and assistant.

    Returns:
        One reason with the probability of harm and the category, or nothing.

    Raises:
        GuardError: the model's family is not known.
    """
    family = family_of(str(getattr(model, "model", "")))
    messages = conversation(family, text, question, context)
    weights = await decide(model, messages, list(family.options))
    score = sum(family.options[option] * weight for option, weight in weights.items())
    if score < SUSPICIOUS:
        return []
    kind = await _category(model, family, messages)
    return [
        {
            "detector": "harm",
            "kind": kind,
            "score": round(float(score), 4),
            "start": None,
            "end": None,
            "outcome": "flag",
            "detail": CATEGORIES.get(kind, "harm"),
        }
    ]


def conversation(
    family: Family, text: str, question: str | None, context: Sequence[str] = ()
) -> list[BaseMessage]:
    """Write what a family's template is given: the last message is what is judged."""
    if family.principle:
        return [HumanMessage(_asked(family, text, question))]
    turns = [*context, *([question] if question is not None else []), text]
    if question is None and len(context) % 2:
        turns = turns[1:]  # the last turn is a person's, so the first must be, too
    kinds = (HumanMessage, AIMessage)
    return [kinds[place % 2](turn) for place, turn in enumerate(turns)]


def _asked(family: Family, text: str, question: str | None) -> str:
    who = "prompt" if question is None else "response"
    shown = f"Human Question: {text if question is None else question}"
    if question is not None:
        shown += f"\n\nChatbot Response: {text}"
    judged_part = "human question" if question is None else "chatbot response"
    return (
        "You are a policy expert trying to help determine whether a user "
        f"{who} is in violation of the defined safety policies.\n\n"
        f"<start_of_turn>\n{shown}\n<end_of_turn>\n\n"
        "Our safety principles are defined in the below:\n\n"
        f"* {family.principle.format(who=who)}\n\n"
        f"Does the {judged_part} violate the above principle? Your answer must start with "
        "'Yes' or 'No'. And then walk through step by step to be sure we answer correctly."
    )


async def _category(model: BaseChatModel, family: Family, messages: Sequence[BaseMessage]) -> str:
    if not family.kinds:
        return "harm"
    reply = await model.ainvoke(list(messages), {"tags": ["nostream"]}, max_tokens=_CATEGORY_TOKENS)
    return category(family, reply.text)


def category(family: Family, verdict: str) -> str:
    """Read the first category of a written verdict; `harm` where it names none."""
    places = {
        kind: verdict.find(name)
        for name, kind in sorted(family.kinds.items(), key=lambda pair: len(pair[0]))
        if _names(name, verdict)
    }
    return min(places, key=lambda kind: places[kind], default="harm")


def _names(name: str, verdict: str) -> bool:
    place = verdict.find(name)
    if place < 0:
        return False
    before, after = verdict[place - 1 : place], verdict[place + len(name) :][:1]
    # S1 is no S11, and "Violent" no "Non-violent".
    return not before.isalnum() and before != "-" and not after.isalnum()
