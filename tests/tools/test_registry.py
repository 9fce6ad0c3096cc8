import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from groundling.errors import ToolError
from groundling.settings import Settings
from groundling.tools.ask_person import ask_person
from groundling.tools.registry import MAKERS, collect, missing, toolkit
from groundling.tools.risk import risk_of


def test_tools_come_in_the_order_of_the_settings():
    settings = Settings(tools={"enabled": ["clock", "ask_person", "clock"]})
    assert [tool.name for tool in toolkit(settings)] == ["clock", "ask_person"]


def test_what_is_lacking_is_said():
    settings = Settings(tools={"enabled": ["search", "table", "wolfram", "web"]})
    assert toolkit(settings) == []
    reasons = missing(settings)
    assert set(reasons) == {"search", "table", "wolfram", "web"}
    assert "groundling knowledge add" in reasons["search"]
    assert "wolfram_app_id" in reasons["wolfram"]
    assert "web_hosts" in reasons["web"]


def test_an_unknown_tool_is_named_with_the_known_ones():
    with pytest.raises(ToolError, match="no tool hammer") as error:
        toolkit(Settings(tools={"enabled": ["hammer"]}))
    assert all(name in (error.value.hint or "") for name in MAKERS)


def test_tables_that_the_settings_name(tmp_path):
    (tmp_path / "prices.csv").write_text("item,price\npen,3\n")
    settings = Settings(tools={"enabled": ["table"], "tables": [tmp_path]})
    [tool] = toolkit(settings)
    assert tool.invoke({"sql": "SELECT price FROM prices"}) == "price\n3"


def test_every_tool_says_what_it_may_do():
    settings = Settings(
        tools={
            "enabled": ["calculator", "convert", "clock", "wolfram", "web", "ask_person"],
            "web_hosts": ["example.org"],
        },
        facts={"wolfram_app_id": "none"},
    )
    assert {tool.name: risk_of(tool) for tool in toolkit(settings)} == {
        "calculator": "compute",
        "convert": "compute",
        "clock": "compute",
        "wolfram": "network",
        "web": "network",
        "ask_person": "read",
    }


def test_a_person_is_asked_through_an_interrupt():
    graph = StateGraph(dict)
    graph.add_node("ask", lambda _: {"said": ask_person().invoke({"question": "Which year?"})})
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    compiled = graph.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    [waiting] = compiled.invoke({}, config)["__interrupt__"]
    assert waiting.value == {"type": "question", "question": "Which year?"}
    assert compiled.invoke(Command(resume="2024"), config) == {"said": "2024"}


def test_outside_of_a_graph_nobody_is_asked():
    [tool] = toolkit(Settings(tools={"enabled": ["ask_person"]}))
    asked = {"type": "tool_call", "id": "1", "name": "ask_person", "args": {"question": "x"}}
    assert "Nobody can be asked" in tool.invoke(asked).content
    assert tool.invoke({**asked, "args": {}}).status == "error"


def test_tables_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"no zip")
    settings = Settings(tools={"enabled": ["table", "clock"], "tables": [tmp_path]})
    tools, lacking = collect(settings)
    assert [tool.name for tool in tools] == ["clock"]
    assert "a.xlsx is no workbook" in lacking["table"]


def test_a_server_may_not_bear_the_name_of_a_tool():
    settings = Settings(tools={"enabled": ["clock"], "mcp": {"clock": {"command": ["true"]}}})
    with pytest.raises(ToolError, match="has the name of a tool"):
        toolkit(settings)
