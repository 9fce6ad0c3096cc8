"""Classification and sentiment: one forward pass, the probabilities of the labels."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from groundling.graphs.nodes.tasks.asking import compose, excerpt
from groundling.graphs.nodes.tasks.state import Answer, State
from groundling.graphs.resources import Resources
from groundling.models.decide import decide
from groundling.models.prompts import Language, language_of

SENTIMENTS = ("positive", "negative", "neutral")
SHOWN: dict[Language, dict[str, str]] = {
    "en": {},
    "ko": {"positive": "긍정", "negative": "부정", "neutral": "중립"},
}
FITS = 0.5  # probability of "yes" from which one of several labels is given
EMPTY = "N/A"  # what a text without content looks like (Zhao et al. 2021)


async def classify(state: State, resources: Resources) -> Answer:
    """Give the text one of the labels, or each that fits."""
    text = excerpt(state["text"], resources)
    labels = state["labels"]
    if state.get("several"):
        weights = await weigh_each(state, resources, text, labels)
        chosen = [label for label in labels if weights[label] >= FITS]
        return {
            "result": {"labels": chosen, "probabilities": rounded(weights)},
            "answer": ", ".join(chosen),
        }
    weights = await weigh(state, resources, "classify", text, labels)
    label = max(labels, key=lambda one: weights[one])
    return {"result": {"label": label, "probabilities": rounded(weights)}, "answer": label}


async def judge_sentiment(state: State, resources: Resources) -> Answer:
    """Tell how the text feels about its subject; the score runs from -1 to 1."""
    text = excerpt(state["text"], resources)
    shown = SHOWN[language_of(text)]
    options = [shown.get(name, name) for name in SENTIMENTS]
    found = await weigh(state, resources, "sentiment", text, options)
    weights = {name: found[option] for name, option in zip(SENTIMENTS, options, strict=True)}
    label = max(SENTIMENTS, key=lambda name: weights[name])
    score = round(weights["positive"] - weights["negative"], 3)
    return {
        "result": {"label": label, "score": score, "probabilities": rounded(weights)},
        "answer": label,
    }


async def weigh(
    state: State, resources: Resources, name: str, text: str, labels: Sequence[str]
) -> dict[str, float]:
    """Weigh the labels against each other.

    With `calibrated`, each weight is divided by the label's weight after a text without
    content, so that a label is not preferred for its name (Zhao et al. 2021,
    arXiv:2102.09690).
    """

    async def ask(of: str) -> dict[str, float]:
        messages, used = compose(state, resources, name, of, labels=", ".join(labels))
        return await decide(resources.model, messages, labels, used.config)

    if not state.get("calibrated"):
        return await ask(text)
    weights, empty = await asyncio.gather(ask(text), ask(EMPTY))
    return calibrate(weights, empty)


async def weigh_each(
    state: State, resources: Resources, text: str, labels: Sequence[str]
) -> dict[str, float]:
    """Weigh each label alone: does it fit?"""

    async def ask(label: str) -> float:
        alone: State = {**state, "examples": []}
        messages, used = compose(
            alone, resources, "label", text, labels=", ".join(labels), label=label
        )
        return (await decide(resources.model, messages, ["yes", "no"], used.config))["yes"]

    found = await asyncio.gather(*(ask(label) for label in labels))
    return dict(zip(labels, found, strict=True))


def calibrate(weights: Mapping[str, float], prior: Mapping[str, float]) -> dict[str, float]:
    """Divide by the prior and let the weights add up to 1 again."""
    least = 1e-6
    raised = {label: weight / max(prior[label], least) for label, weight in weights.items()}
    total = sum(raised.values()) or 1.0
    return {label: weight / total for label, weight in raised.items()}


def rounded(weights: Mapping[str, float]) -> dict[str, float]:
    """Round for people and files."""
    return {label: round(float(weight), 4) for label, weight in weights.items()}
