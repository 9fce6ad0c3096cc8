"""`mcp` with a real server in another process."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from groundling.errors import ToolError
from groundling.settings import Settings
from groundling.tools.bounded import bounded
from groundling.tools.mcp import mcp_tools
from groundling.tools.registry import toolkit
from groundling.tools.risk import risk_of

SERVER = str(Path(__file__).parent / "mcp_server.py")


def entry(key, value):
    return {"command": [sys.executable, SERVER], "environment": {key: value}}


def tools(*arguments, timeout=30, **server):
    notes = {"command": [sys.executable, SERVER, *arguments]} | server
    settings = Settings(tools={"enabled": ["notes"], "mcp": {"notes": notes}, "timeout": timeout})
    return {tool.name: tool for tool in toolkit(settings)}


async def call(tool, **arguments):
    asked = {"type": "tool_call", "id": "1", "name": tool.name, "args": arguments}
    return await tool.ainvoke(asked)


async def test_the_tools_of_a_server_are_named_after_it_and_called():
    found = tools()
    assert {name: risk_of(tool) for name, tool in found.items()} == {
        "notes_count": "read",
        "notes_write": "network",
        "notes_a_b": "network",
        "notes_a_b_2": "network",
    }
    assert found["notes_a_b"].description.startswith("Hidden.[31mxxx")
    assert len(found["notes_a_b"].description) < 1_100
    assert found["notes_a_b_2"].description == "No description."
    assert (await call(found["notes_a_b_2"])).content == "second"
    assert (await call(found["notes_count"], text="하나 둘 셋")).content == "3"
    assert (await call(found["notes_write"], text="a")).content == "written: a"


async def test_a_wrong_call_and_a_server_that_dies_are_messages():
    found = tools(risk="write")
    assert risk_of(found["notes_write"]) == "write"
    wrong = await call(found["notes_count"], words="x")
    assert (wrong.status, "text" in wrong.content) == ("error", True)
    dead = await call(found["notes_write"], text="die")
    assert (dead.status, "Connection closed" in dead.content) == ("error", True)


def test_a_server_that_does_not_start_is_named():
    with pytest.raises(ToolError, match="notes cannot be used"):
        tools("fail")
    with pytest.raises(ToolError, match="notes cannot be used"):
        tools(command=["/nowhere/server"])


def gone(file):
    """Wait until the processes that wrote their ids to a file have ended."""
    started = [int(line) for line in file.read_text().split()]
    assert started
    for _ in range(100):
        if not any(psutil.pid_exists(process) for process in started):
            return True
        time.sleep(0.1)
    return False


def test_a_server_that_hangs_is_given_up_and_ended(tmp_path):
    pids = tmp_path / "pids"
    with pytest.raises(ToolError, match=r"notes did not answer within 1 s"):
        tools("hang", timeout=1, environment={"PIDS": str(pids)})
    assert gone(pids)


@pytest.mark.parametrize("way", ["function", "coroutine"])
async def test_a_call_that_hangs_is_given_up_and_its_server_ended(tmp_path, way):
    pids = tmp_path / "pids"
    settings = Settings(tools={"mcp": {"notes": entry("PIDS", str(pids))}})
    write = bounded(mcp_tools(settings, "notes")[1], 1)
    asked = {"type": "tool_call", "id": "1", "name": write.name, "args": {"text": "hang"}}
    answer = write.invoke(asked) if way == "function" else await write.ainvoke(asked)
    assert "did not answer within 1 s" in answer.content
    assert gone(pids)


@pytest.mark.parametrize("wrong", [{"command": []}, {"url": "http://127.0.0.1:9/mcp"}])
def test_a_server_needs_a_command_or_an_address(wrong):
    with pytest.raises(ToolError, match="either a command or a url"):
        tools(**wrong)


def test_a_server_that_nobody_runs():
    with pytest.raises(ToolError, match="notes cannot be used"):
        tools(command=[], url="http://127.0.0.1:9/mcp", timeout=20)


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastmcp.client.transports", None)
    with pytest.raises(ToolError, match="need the extra mcp") as error:
        tools()
    assert "groundling[mcp]" in (error.value.hint or "")
