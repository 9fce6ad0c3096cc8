import asyncio
import time

import pytest
from langchain_core.tools import tool
from langgraph.errors import GraphInterrupt

from groundling.errors import KnowledgeError
from groundling.tools.bounded import bounded, cut


def call(tool, **arguments):
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


async def acall(tool, **arguments):
    asked = {"type": "tool_call", "id": "1", "name": tool.name, "args": arguments}
    return await tool.ainvoke(asked)


@tool
def double(number: int) -> str:
    """Double a number."""
    return str(2 * number)


@tool
async def later(number: int) -> str:
    """Double a number later."""
    await asyncio.sleep(0)
    return str(2 * number)


@tool
def hang() -> str:
    """Hang."""
    time.sleep(5)
    return "never"


@tool
async def wait() -> str:
    """Wait."""
    await asyncio.sleep(60)
    return "never"


@tool
def fail() -> str:
    """Fail."""
    raise ValueError("a secret path")


@tool
def refuse() -> str:
    """Fail as Groundling does."""
    raise KnowledgeError("There is nothing.", hint="Add something.")


@tool(response_format="content_and_artifact")
def long(count: int) -> tuple[str, list[int]]:
    """Say much."""
    return "x" * count, [count]


@pytest.mark.parametrize("one", [double, later])
async def test_both_ways_of_calling(one):
    assert call(bounded(one, 5), number=21).content == "42"
    assert (await acall(bounded(one, 5), number=21)).content == "42"


@pytest.mark.parametrize("one", [hang, wait])
async def test_a_tool_that_hangs_is_given_up(one):
    for answer in (call(bounded(one, 0.1)), await acall(bounded(one, 0.1))):
        assert answer.status == "error"
        assert "did not answer within 0.1 s" in answer.content


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (fail, "fail failed: ValueError: a secret path"),
        (refuse, "There is nothing. Add something."),
    ],
)
async def test_errors_are_messages(one, said):
    for answer in (call(bounded(one, 5)), await acall(bounded(one, 5))):
        assert (answer.status, answer.content) == ("error", said)


def test_malformed_arguments_are_named():
    answer = call(bounded(double, 5), number="many")
    assert answer.status == "error"
    assert "number" in answer.content
    assert "Traceback" not in answer.content


def test_long_results_are_cut_and_artifacts_kept():
    answer = call(bounded(long, 5, most=10), count=1010)
    assert answer.content == "x" * 10 + "\n[… 1,000 more characters were cut off]"
    assert answer.artifact == [1010]
    assert cut(["no text"], 3) == ["no text"]


def test_interrupts_pass_through():
    @tool
    def ask() -> str:
        """Ask."""
        raise GraphInterrupt(())

    with pytest.raises(GraphInterrupt):
        call(bounded(ask, 5))


def test_the_schema_stays():
    assert bounded(double, 5).args == double.args
    assert bounded(double, 5).tool_call_schema.model_json_schema() == (
        double.tool_call_schema.model_json_schema()
    )
