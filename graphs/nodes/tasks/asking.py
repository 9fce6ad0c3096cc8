"""How a task asks the model: instructions, examples as earlier turns, the text last.

Examples are turns that went before (Brown et al. 2020, arXiv:2005.14165). With `reasoning`
the prompt `task_NAME_think` is used: the model writes its thoughts after the text, and is
asked for the result behind them (Wei et al. 2022, arXiv:2201.11903).
"""

from __future__ import annotations

import json

from langchain_core.messages import AIMessage, BaseMessage

from groundling.errors import GraphError
from groundling.graphs.nodes.tasks.pieces import budget, pieces
from groundling.graphs.nodes.tasks.state import Answer, State
from groundling.graphs.resources import Resources
from groundling.models.prompts import Prompt, fenced, language_of, prompt

EXAMPLES_SHARE = 2  # examples may take one part in so many of the budget
THOUGHTS = 160  # tokens


def compose(
    state: State, resources: Resources, name: str, text: str, **values: str
) -> tuple[list[BaseMessage], Prompt]:
    """Write the prompt of a task for one text.

    Args:
        state: its examples and thoughts are used.
        resources: the model counts the examples' tokens.
        name: the prompt's name, without `task_`.
        text: what is to be worked on.
        values: the prompt's other variables.

    Raises:
        GraphError: the examples leave no room for the text.
    """
    language = language_of(text)
    plain = prompt(f"task_{name}", language)
    head, turn = plain.messages(text=fenced(text), **values)
    shots: list[BaseMessage] = []
    for example in state.get("examples") or []:
        given = {**values, "question": example.get("question") or values.get("question", "")}
        shots.append(plain.messages(text=fenced(example["text"]), **given)[-1])
        shots.append(AIMessage(written(example["output"])))
    if shots:
        model = resources.model
        taken = sum(model.get_num_tokens(shot.text) for shot in shots)
        if taken > budget(resources) // EXAMPLES_SHARE:
            raise GraphError(
                f"The examples have {taken} tokens; no room is left for the text.",
                hint="Give fewer or shorter examples, or raise the context: "
                "GROUNDLING_MODEL__CONTEXT=8192",
            )
    if not state.get("thoughts"):
        return [head, *shots, turn], plain
    thinking = prompt(f"task_{name}_think", language)
    turns = thinking.messages(text=fenced(text), thoughts=state["thoughts"], **values)
    return [turns[0], *shots, *turns[1:]], thinking


async def reflect(
    state: State, resources: Resources, name: str, text: str, **values: str
) -> Answer:
    """Have the model write its thoughts on a text."""
    messages, used = compose({**state, "thoughts": "…"}, resources, name, text, **values)
    # What follows the text: the thoughts themselves, and the question after them.
    reply = await resources.model.ainvoke(messages[:-2], used.quiet, max_tokens=THOUGHTS)
    return {"thoughts": reply.text.strip()}


def excerpt(text: str, resources: Resources) -> str:
    """Return as much of a text's beginning as one decision can read."""
    first, *rest = pieces(text, resources.model, budget(resources, THOUGHTS))
    return text if not rest else first.text


def written(output: object) -> str:
    """Write an example's output as the model would."""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
