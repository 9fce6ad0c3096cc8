import asyncio
import time

import pytest
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import tool
from langgraph.errors import GraphInterrupt
from langgraph.types import Command

from groundling.errors import KnowledgeError
from groundling.tools import bounded as bounded_module
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


@tool
def end() -> str:
    """End the program."""
    raise SystemExit(3)


@tool
async def end_later() -> str:
    """End the program."""
    raise SystemExit(3)


@tool
async def impatient() -> str:
    """Give up early."""
    raise TimeoutError("the printer sleeps")


@tool
async def block() -> str:
    """Block the loop."""
    time.sleep(5)  # noqa: ASYNC251
    return "never"


@tool
def shout() -> str:
    """Fail at length."""
    raise ValueError("x" * 100_000)


@tool
def data() -> dict[str, str]:
    """Return data."""
    return {"text": "가" * 100_000}


@pytest.mark.parametrize("one", [end, end_later])
async def test_a_tool_does_not_end_the_program(one):
    for answer in (call(bounded(one, 5)), await acall(bounded(one, 5))):
        assert answer.status == "error"


async def test_a_time_limit_of_the_tool_itself_is_not_taken_for_ours():
    for answer in (call(bounded(impatient, 5)), await acall(bounded(impatient, 5))):
        assert answer.content == "impatient failed: TimeoutError: the printer sleeps"


async def test_without_a_limit_there_is_none():
    assert call(bounded(double, None), number=1).content == "2"
    assert (await acall(bounded(later, None), number=1)).content == "2"


def test_a_coroutine_that_blocks_its_loop_is_given_up_by_functions(monkeypatch):
    monkeypatch.setattr(bounded_module, "_GRACE", 0.1)
    assert "did not answer" in call(bounded(block, 0.1)).content


async def test_a_coroutine_that_is_given_up_is_cancelled():
    ended = []

    @tool
    async def tidy() -> str:
        """Tidy up."""
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)
        return "never"

    call(bounded(tidy, 0.1))
    await acall(bounded(tidy, 0.1))
    assert ended == [True, True]


def test_every_message_is_of_bearable_length():
    assert len(call(bounded(shout, 5, most=100)).content) < 200
    assert len(call(bounded(data, 5, most=100)).content) < 200
    assert len(call(bounded(double, 5), number="9" * 50_000).content) < 2_000


async def test_a_thread_that_ends_after_its_loop_disturbs_nobody():
    @tool
    def slow() -> str:
        """Be slow."""
        time.sleep(0.3)
        return "late"

    answer = await acall(bounded(slow, 0.05))
    assert "did not answer" in answer.content
    await asyncio.sleep(0.4)


def test_calls_know_the_run_they_belong_to():
    seen = []

    @tool
    def look(config: RunnableConfig) -> str:
        """Look at the run."""
        seen.append((config["configurable"]["thread_id"], ensure_config()["configurable"]))
        return "x"

    bounded(look, 5).invoke({}, {"configurable": {"thread_id": "7"}})
    assert seen == [("7", {"thread_id": "7"})]
    assert "config" not in bounded(look, 5).args


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
    assert cut(["no text"], 30) == ["no text"]
    assert cut(["no text"], 3).startswith('["n\n[… 8 more')
    assert isinstance(cut(Command(update={"x": "y" * 99}), 3), Command)


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
