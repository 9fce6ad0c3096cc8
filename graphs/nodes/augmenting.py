"""Further queries for a search, each written by the model in a step of its own.

- `rewrite` makes a follow-up question stand alone;
- `multi_query` says the question in other words;
- `hyde` writes a passage that would answer it, since an answer looks more like the passage
  wanted than the question does (Gao et al. 2022, arXiv:2212.10496). The passage is searched
  with; no answer is ever written from it;
- `step_back` asks for what is behind the question (Zheng et al. 2023, arXiv:2310.06117).

`retrieval.augment` names the last three. Each costs a generation for each question, and
with the default model they find no more than the question alone: see docs/measurements.md.
What they wrote stands in the state as `augmented`, by technique; the question itself stays
the first of `queries`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from groundling.graphs.nodes.conversation import Conversation, transcript
from groundling.graphs.nodes.step import Step
from groundling.graphs.resources import Resources
from groundling.models.prompts import language_of, prompt

WORDINGS = 3  # of the question that `multi_query` takes, at most
LINE, PASSAGE = 96, 160  # tokens that a few lines, and a short passage, may take
# What small models put before a line although nobody asked them to.
LABEL = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s*")
QUOTES = "\"'“”‘’「」 \t"


class Augmented(Conversation, total=False):
    """The keys that augmenting changes.

    Args:
        queries: the question as it stands alone, and its translation where one was needed.
        augmented: further queries, by the technique that made them.
    """

    queries: list[str]
    augmented: dict[str, list[str]]


async def rewrite(state: Augmented, resources: Resources) -> Augmented:
    """Make a follow-up question stand alone."""
    used = prompt("rewrite", language_of(state["question"]))
    messages = used.messages(conversation=transcript(state), question=state["question"])
    reply = await resources.model.ainvoke(messages, used.quiet, max_tokens=LINE)
    return {"queries": [reply.text.strip() or state["question"]]}


async def multi_query(state: Augmented, resources: Resources) -> Augmented:
    """Ask the same in other words."""
    written = await _written("multi_query", state, resources, LINE)
    return _with(state, "multi_query", lines(written)[:WORDINGS])


async def hyde(state: Augmented, resources: Resources) -> Augmented:
    """Write the passage that would answer the question, to search for its like."""
    written = await _written("hyde", state, resources, PASSAGE)
    return _with(state, "hyde", [" ".join(written.split())])


async def step_back(state: Augmented, resources: Resources) -> Augmented:
    """Ask for what is behind the question."""
    written = await _written("step_back", state, resources, LINE)
    return _with(state, "step_back", lines(written)[:1])


TECHNIQUES: Mapping[str, Step] = {"multi_query": multi_query, "hyde": hyde, "step_back": step_back}


def asked(state: Augmented) -> str:
    """Return the question as it stands alone."""
    return (state.get("queries") or [state["question"]])[0]


def lines(text: str) -> list[str]:
    """Return the distinct lines of a reply, without list markers and quotation marks."""
    cleaned = (LABEL.sub("", line).strip(QUOTES) for line in text.splitlines())
    return list(dict.fromkeys(line for line in cleaned if any(map(str.isalnum, line))))


async def _written(technique: str, state: Augmented, resources: Resources, most: int) -> str:
    question = asked(state)
    used = prompt(f"augment_{technique}", language_of(question))
    reply = await resources.model.ainvoke(
        used.messages(question=question), used.quiet, max_tokens=most
    )
    return reply.text


def _with(state: Augmented, technique: str, queries: list[str]) -> Augmented:
    """Take the queries that say something new."""
    known = {asked(state), ""}
    found = [query for query in queries if query not in known]
    return {"augmented": {**(state.get("augmented") or {}), technique: found}}
