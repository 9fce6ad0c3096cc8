from datetime import UTC, datetime

import pytest

from groundling.errors import FactError
from groundling.facts.claim import Background
from groundling.facts.wolfram import WolframSource, agreeing, private
from groundling.facts.wolfram_client import Wolfram, WolframError
from groundling.facts.wolfram_store import WolframStore
from groundling.settings import Settings
from groundling.tools.bounded import bounded
from groundling.tools.wolfram import wolfram
from tests.facts.wolfram_server import APP_ID, running
from tests.scripted import ScriptedChat


@pytest.fixture
def server():
    with running() as (url, asked):
        yield url, asked


def settings(url, tmp_path, **more):
    facts = {"wolfram_app_id": APP_ID, "wolfram_url": url, "wolfram_timeout": 1.0, **more}
    return Settings(home=tmp_path, facts=facts)


def claim(text):
    return {"text": text, "start": 0, "end": len(text)}


async def test_the_full_api(server):
    url, asked = server
    told = await Wolfram(APP_ID, url, 5).ask("height of the Eiffel Tower")
    assert told == "Input interpretation: Eiffel Tower | height\nResult: 330 meters"
    assert [path for path, _ in asked] == ["/v2/query"]


async def test_the_llm_api_is_the_second_route(server):
    url, asked = server
    assert await Wolfram(APP_ID, url, 5).ask("nothing") == "Query: nothing\nResult: forty-two"
    assert [path for path, _ in asked] == ["/v2/query", "/api/v1/llm-api"]


@pytest.mark.parametrize("query", ["did you mean", "no text", "unknown"])
async def test_no_answer_is_no_error(server, query):
    url, _ = server
    if query == "unknown":
        with pytest.raises(WolframError):
            await Wolfram(APP_ID, url, 5).ask(query)
    else:
        assert await Wolfram(APP_ID, url, 5).ask(query) is None


async def test_assumptions_do_not_hide_the_result(server):
    assert await Wolfram(APP_ID, server[0], 5).ask("assumptions") == "Result: 3.14159"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("pod error", "internal error"),
        ("bad id", "does not accept the AppID"),
        ("403", "no result"),
        ("501", "no result"),
        ("html", "no result"),
        ("no xml", "no result"),
        ("empty", "no result"),
        ("hang", "did not answer within 1 s"),
    ],
)
async def test_failures_are_errors_in_words(server, query, said):
    with pytest.raises(WolframError, match=said) as error:
        await Wolfram(APP_ID, server[0], 1).ask(query)
    assert APP_ID not in str(error.value)
    assert APP_ID not in str(error.value.hint)


async def test_nobody_there():
    with pytest.raises(WolframError, match="cannot be reached"):
        await Wolfram(APP_ID, "http://127.0.0.1:9/v2/query", 1).ask("x")


async def test_a_claim_is_asked_in_keywords_and_compared(server, tmp_path):
    url, asked = server
    model = ScriptedChat(["height of the Eiffel Tower\n(more)"])
    source = WolframSource(settings(url, tmp_path), model)
    found = await source.check(claim("에펠탑의 높이는 330미터이다."), Background())
    assert (found["verdict"], found["query"]) == ("SUPPORTED", "height of the Eiffel Tower")
    assert "330 meters" in found["evidence"]
    assert asked[0][1] == "height of the Eiffel Tower"


@pytest.mark.parametrize(
    ("weights", "verdict"),
    [
        ({"supported": 0.1, "refuted": 0.8, "unclear": 0.1}, "REFUTED"),
        ({"supported": 0.5, "refuted": 0.4, "unclear": 0.1}, "NOT_ENOUGH_EVIDENCE"),
        ({"supported": 0.1, "refuted": 0.1, "unclear": 0.8}, "NOT_ENOUGH_EVIDENCE"),
    ],
)
async def test_where_numbers_do_not_settle_it_the_model_reads(server, tmp_path, weights, verdict):
    model = ScriptedChat(["height of the Eiffel Tower"])
    model.enqueue_choice(weights)
    source = WolframSource(settings(server[0], tmp_path), model)
    found = await source.check(claim("The Eiffel Tower is 500 metres tall."), Background())
    assert found["verdict"] == verdict


async def test_nothing_personal_leaves_the_machine(server, tmp_path):
    url, asked = server
    query = "age of kim@example.com with key sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    source = WolframSource(settings(url, tmp_path), ScriptedChat([query]))
    await source.check(claim("kim@example.com is 40."), Background())
    sent = " ".join(told for _, told in asked)
    assert "[EMAIL]" in sent
    assert "example.com" not in sent
    assert "sk-proj" not in sent


async def test_answers_are_kept_and_calls_counted(server, tmp_path):
    url, asked = server
    source = WolframSource(settings(url, tmp_path, wolfram_monthly=1))
    assert "330" in await source.ask("height of the Eiffel Tower")
    assert "330" in await source.ask("height of the Eiffel Tower")
    assert len(asked) == 1
    with pytest.raises(FactError, match="calls to WolframAlpha are spent"):
        await source.ask("nothing")
    found = await source.check(claim("Nothing is 42."), Background())
    assert (found["verdict"], "spent" in found["evidence"]) == ("ERROR", True)
    assert APP_ID.encode() not in (tmp_path / "facts.sqlite").read_bytes()


async def test_an_error_is_a_verdict_and_is_not_kept(server, tmp_path):
    url, asked = server
    source = WolframSource(settings(url, tmp_path), ScriptedChat(["403", "403"]))
    for _ in range(2):
        found = await source.check(claim("It is forbidden."), Background())
        assert found["verdict"] == "ERROR"
    assert len(asked) == 2


async def test_without_an_app_id_it_is_not_there(tmp_path):
    source = WolframSource(Settings(home=tmp_path))
    assert not source.available
    assert await source.check(claim("x"), Background()) is None


def test_a_new_month_has_a_new_budget(tmp_path):
    times = [datetime(2026, 11, 30, tzinfo=UTC)]
    store = WolframStore(tmp_path / "f.sqlite", lambda: times[-1])
    assert [store.spend(2) for _ in range(3)] == [True, True, False]
    times.append(datetime(2026, 12, 1, tzinfo=UTC))
    assert store.spend(2)
    assert store.calls() == 1
    store.keep("q", "one")
    store.keep("q", "two")
    store.close()
    again = WolframStore(tmp_path / "f.sqlite", lambda: times[-1])
    assert (again.answer("q"), again.answer("other"), again.calls()) == ("two", None, 1)
    again.close()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "f.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(FactError, match=r"f\.sqlite cannot be opened"):
        WolframStore(tmp_path / "f.sqlite")


@pytest.mark.parametrize(
    ("stated", "query", "answer", "agrees"),
    [
        ("It is 330 m tall.", "height", "330 meters", True),
        ("It is 331 m tall.", "height", "330 meters", True),
        ("It is 340 m tall.", "height", "330 meters", False),
        ("In 1945 it ended.", "end of war 1945", "1945", False),
        ("It is tall.", "height", "330 meters", False),
        ("인구는 9,400,000명이다", "population", "9.4 million | 9,411,000", True),
    ],
)
def test_numbers_agree_within_two_per_cent(stated, query, answer, agrees):
    assert agreeing(stated, query, answer) is agrees


def test_a_query_is_one_short_line():
    assert private("a\n b\t" + "c" * 500).startswith("a b c")
    assert len(private("c" * 500)) == 200


async def test_the_tool_tells_errors_to_the_model(server, tmp_path):
    tool = bounded(wolfram(settings(server[0], tmp_path)), 5)
    asked = {"type": "tool_call", "id": "1", "name": "wolfram"}
    answer = await tool.ainvoke({**asked, "args": {"query": "height of the Eiffel Tower"}})
    assert "330" in answer.content
    answer = await tool.ainvoke({**asked, "args": {"query": "bad id"}})
    assert (answer.status, "AppID" in answer.content) == ("error", True)
