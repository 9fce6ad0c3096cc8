"""`mcp` with a real server in another process."""

import sys
from pathlib import Path

import pytest

from groundling.errors import ToolError
from groundling.settings import Settings
from groundling.tools.registry import toolkit
from groundling.tools.risk import risk_of

SERVER = str(Path(__file__).parent / "mcp_server.py")


def tools(*arguments, timeout=30, **server):
    entry = {"command": [sys.executable, SERVER, *arguments]} | server
    settings = Settings(tools={"enabled": ["notes"], "mcp": {"notes": entry}, "timeout": timeout})
    return {tool.name: tool for tool in toolkit(settings)}


async def call(tool, **arguments):
    asked = {"type": "tool_call", "id": "1", "name": tool.name, "args": arguments}
    return await tool.ainvoke(asked)


async def test_the_tools_of_a_server_are_named_after_it_and_called():
    found = tools()
    assert {name: risk_of(tool) for name, tool in found.items()} == {
        "notes_count": "read",
        "notes_write": "network",
    }
    assert (await call(found["notes_count"], text="하나 둘 셋")).content == "3"
    assert (await call(found["notes_write"], text="a")).content == "written: a"


async def test_a_wrong_call_and_a_server_that_dies_are_messages():
    found = tools(risk="write")
    assert risk_of(found["notes_write"]) == "write"
    wrong = await call(found["notes_count"], words="x")
    assert (wrong.status, "text" in wrong.content) == ("error", True)
    dead = await call(found["notes_write"], text="die")
    assert dead.status == "error"
    assert (await call(found["notes_count"], text="still here")).content == "2"


def test_a_server_that_does_not_start_is_named():
    with pytest.raises(ToolError, match="notes cannot be used"):
        tools("fail")
    with pytest.raises(ToolError, match="notes cannot be used"):
        tools(command=["/nowhere/server"])


def test_a_server_that_hangs_is_given_up():
    with pytest.raises(ToolError, match=r"notes did not answer within 3 s"):
        tools("hang", timeout=3)


@pytest.mark.parametrize("entry", [{"command": []}, {"url": "http://127.0.0.1:9/mcp"}])
def test_a_server_needs_a_command_or_an_address(entry):
    with pytest.raises(ToolError, match="either a command or a url"):
        tools(**entry)


def test_a_server_that_nobody_runs():
    with pytest.raises(ToolError, match="notes cannot be used"):
        tools(command=[], url="http://127.0.0.1:9/mcp", timeout=20)
