"""A trace as a page: complete, private, and harmless whatever the runs held."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling.errors import TraceError
from groundling.tracing import phrases, readable, waterfall
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.payload import encode
from groundling.tracing.run import Patch, Status
from tests.tracing.traces import NOW, SECOND, Trace, message, rag

HOSTILE = (
    "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>"
    "\" ' onmouseover=alert(3) {{ 7 * 7 }} <!-- <b>굵게</b> & \u2028"
)


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and what its scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._inside.append(tag)
            self.scripts += [""] if tag == "script" else []

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._inside.pop()

    def handle_data(self, data):
        if self._inside == ["script"]:
            self.scripts[-1] += data
        elif not self._inside:
            self.text += data

    @property
    def data(self):
        return json.loads(self.scripts[0])

    @property
    def rows(self):
        return [at for tag, at in self.elements if "row" in (at.get("class") or "").split()]


def page_of(store, trace) -> Page:
    return Page(waterfall.html(waterfall.view(store, trace.id)))


def test_a_view_has_every_run_with_all_that_is_known_of_it(store):
    trace = rag(thread="t-1", question="출장비는 얼마인가요?", tags=["beta"])
    store.write(
        trace.end(
            2.0,
            outputs={"answer": "You have 17 days. [1]", "verdict": "answered"},
            cpu=3 * SECOND,
            memory=2**30,
        )
    )
    FeedbackBook(store).add(
        Feedback("thumbs", trace.id, score=-1.0, comment="no", correction="18 days")
    )
    view = waterfall.view(store, trace.id)
    assert json.loads(json.dumps(view)) == view  # plain JSON
    assert len(view["runs"]) == len(trace.patches)
    assert (view["name"], view["status"], view["verdict"]) == ("rag", "success", "answered")
    assert (view["asked"], view["answered"]) == ("출장비는 얼마인가요?", "You have 17 days. [1]")
    assert (view["duration"], view["cpu_seconds"], view["peak_memory"]) == (2.0, 3.0, 2**30)
    assert (view["input_tokens"], view["output_tokens"], view["cached_tokens"]) == (100, 9, 50)
    assert view["tokens_per_second"] == pytest.approx(20.0)
    [said] = view["feedback"]
    assert (said["score"], said["comment"], said["correction"]) == (-1.0, "no", "18 days")
    named = {run["name"]: run for run in view["runs"] if not run["folded"]}
    model = named["ChatLlama"]
    assert (model["depth"], model["start"], model["until"]) == (2, 0.31, pytest.approx(0.81))
    assert (model["first_token"], model["prompt"], model["model"]) == (0.1, "answer.en", "tiny")
    assert [block["label"] for block in model["inputs"]] == ["system", "user"]
    assert model["outputs"] == [{"label": "assistant", "text": "You have 17 days."}]
    assert named["retrieve"]["chunks"] == [29, 31]
    assert named["choose"]["choice"] == "yes 0.90, no 0.10"
    assert named["rag"]["tags"] == ["beta"]


def test_a_runnable_inside_its_node_is_folded_and_its_children_kept(store):
    trace = rag()
    store.write(trace.end())
    runs = waterfall.view(store, trace.id)["runs"]
    folded = [run for run in runs if run["folded"]]
    assert [run["name"] for run in folded] == ["retrieve", "judge", "answer"]
    assert all("seq:step:1" in run["tags"] for run in folded)
    assert {run["depth"] for run in runs if run["name"] in ("choose", "ChatLlama")} == {2}


def test_a_wrapper_that_ended_otherwise_is_shown(store):
    trace = Trace()
    outer = trace.run("answer", node="answer", tags=["graph:step:1"], lasts=0.2)
    trace.run("answer", parent=outer, node="answer", tags=["seq:step:1"], error="ValueError('x')")
    store.write(trace.end())
    assert not any(run["folded"] for run in waterfall.view(store, trace.id)["runs"])


def test_runs_that_have_not_ended_reach_to_the_end_of_the_axis(store):
    trace = Trace(started=NOW)
    trace.run("retrieve", at=0.0, lasts=0.5)
    trace.run("answer", at=0.5, lasts=None, status=Status.LOST)
    trace.patches[0].status = Status.LOST
    store.write(trace.patches)
    with store.writing() as db:
        db.execute("UPDATE runs SET status = 'lost' WHERE duration IS NULL")
    view = waterfall.view(store, trace.id)
    assert view["seconds"] == 0.5
    assert {run["until"] for run in view["runs"]} == {0.5}
    assert all(run["duration"] is None for run in view["runs"] if run["status"] == "lost")


def test_traces_without_a_root_and_with_a_cycle_are_shown(store):
    a, b, trace = rag().id, rag().id, rag().id
    store.write(
        [
            Patch(id=a, trace=trace, parent=b, name="a", started=NOW, duration=1),
            Patch(id=b, trace=trace, parent=a, name="b", started=NOW, duration=1),
        ]
    )
    view = waterfall.view(store, trace)
    assert {run["name"] for run in view["runs"]} == {"a", "b"}
    assert len(Page(waterfall.html(view)).rows) == 2


def test_a_trace_that_is_not_there_is_an_error(store):
    with pytest.raises(TraceError, match="There is no trace"):
        waterfall.view(store, rag().id)


def test_hostile_text_stays_text(store):
    trace = Trace(HOSTILE, question=HOSTILE, tags=[HOSTILE], thread=HOSTILE, project=HOSTILE)
    trace.run(
        HOSTILE,
        run_type='"><script>',
        node=HOSTILE,
        inputs={HOSTILE: HOSTILE, "messages": [message("human", HOSTILE)]},
        outputs={"output": HOSTILE},
        metadata={HOSTILE: HOSTILE, "prompt": HOSTILE, "ls_model_name": HOSTILE},
        error=HOSTILE,
    )
    store.write(trace.end(outputs={"answer": HOSTILE, "verdict": HOSTILE}, error=HOSTILE))
    FeedbackBook(store).add(
        Feedback(HOSTILE, trace.id, comment=HOSTILE, value=HOSTILE, correction={"a": HOSTILE})
    )
    page = page_of(store, trace)
    plain = page_of(store, _stored(store, rag()))
    tags = {tag for tag, _ in plain.elements} | {"ul", "li", "b", "q", "p", "i", "em", "small"}
    assert {tag for tag, _ in page.elements} <= tags
    assert [tag for tag, _ in page.elements].count("script") == 2
    names = {name for _, attributes in page.elements for name in attributes}
    assert not [name for name in names if name.startswith("on")]
    assert HOSTILE.split("{{")[0] in page.text  # it is there, as text
    assert "{{ 7 * 7 }}" in page.text
    assert page.data[1]["inputs"][0]["text"] == HOSTILE
    assert page.data[1]["metadata"][HOSTILE] == HOSTILE


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.text(max_size=60))
def test_any_text_comes_back_as_it_was(store, text):
    trace = Trace(question="q")
    trace.run("step", inputs={"q": text}, outputs={"answer": text})
    store.write(trace.end())
    page = page_of(store, trace)
    [*_, step] = page.data
    expected = json.loads(encode(text))
    assert [block["text"] for block in step["inputs"] + step["outputs"]] == [expected] * 2


def test_the_page_asks_nothing_of_anyone(store):
    trace = _stored(store, rag())
    text = waterfall.html(waterfall.view(store, trace.id))
    assert not re.search(r"(?:https?:)?//[a-z]", text.replace("<!doctype html>", ""))
    assert not re.search(
        r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(", text
    )
    page = Page(text)
    assert not {tag for tag, _ in page.elements} & {
        "link",
        "img",
        "iframe",
        "object",
        "base",
        "form",
    }
    assert not [at for _, at in page.elements if at.keys() & {"src", "action", "srcset", "data"}]
    [policy] = [at for tag, at in page.elements if tag == "meta" and at.get("http-equiv")]
    assert policy["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    )


def test_rows_can_be_walked_and_read_aloud(store):
    page = page_of(store, _stored(store, rag()))
    assert [row["aria-level"] for row in page.rows] == ["1", "2", "2", "3", "2", "3"]
    assert [row.get("aria-expanded") for row in page.rows] == [
        "true",
        None,
        "true",
        None,
        "true",
        None,
    ]
    assert [row["tabindex"] for row in page.rows] == ["0", *["-1"] * 5]
    spoken = [at["aria-label"] for tag, at in page.elements if at.get("class") == "time"]
    assert spoken[-1] == "begins at 310 ms, takes 500 ms, first token after 100 ms"
    buttons = [at for tag, at in page.elements if tag == "input"]
    assert all(at.get("aria-label") for at in buttons)


def test_a_first_token_is_marked_inside_its_bar(store):
    text = waterfall.html(waterfall.view(store, _stored(store, rag()).id))
    [model] = re.findall(r'class="row llm success"[^>]*--s:0\.31.*?</div>', text, re.DOTALL)
    assert "--f:20.00%" in model
    assert 'class="first"' in model


def test_long_inputs_are_shortened_and_say_so(store):
    trace = Trace()
    trace.run("step", inputs={"text": "long " * 20_000})
    store.write(trace.end())
    page = page_of(store, trace)
    [block] = page.data[1]["inputs"]
    assert len(block["text"]) < waterfall.SHOWN_CHARACTERS + 100
    assert "100,000 characters in all" in block["text"]


def test_a_thousand_runs_make_a_page_of_a_few_megabytes(store):
    trace = Trace("research")
    for n in range(1000):
        trace.run(f"step {n}", at=n / 1000, lasts=0.001, inputs={"text": "word " * 2_000})
    store.write(trace.end())
    text = waterfall.html(waterfall.view(store, trace.id))
    assert len(Page(text).rows) == 1001
    assert len(text) < 20_000_000


@pytest.mark.parametrize(
    ("span", "marks"),
    [
        (0.0004, ["0 ms", "0.1 ms", "0.2 ms", "0.3 ms"]),
        (2.5, ["0 s", "0.5 s", "1 s", "1.5 s", "2 s"]),
        (600.0, ["0 min", "2 min", "4 min", "6 min", "8 min"]),
    ],
)
def test_the_axis_has_round_marks(span, marks):
    step = waterfall._step(span)
    found = [waterfall._mark(n * step, span) for n in range(10) if n * step < 0.94 * span]
    assert found == marks


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0, "0.0 ms"),
        (0.00123, "1.2 ms"),
        (0.2125, "212 ms"),
        (0.9999, "1.00 s"),
        (4.214, "4.21 s"),
        (74.66, "74.7 s"),
        (99.97, "1 min 40 s"),
        (3725.0, "1 h 02 min"),
    ],
)
def test_durations_are_written_with_about_three_figures(seconds, words):
    assert phrases.took(seconds) == words


def test_counts_are_shortened_when_they_are_long():
    counts = [0, 9_999, 10_000, 99_960, 168_000, 999_960, 12_345_678, 2.5e9]
    assert [phrases.many(each) for each in counts] == [
        "0", "9,999", "10.0k", "100k", "168k", "1.0M", "12.3M", "2.5G",
    ]  # fmt: skip


class TestReading:
    def test_messages_of_langchain_and_of_openai_are_who_said_what(self):
        call = {"name": "convert", "args": {"to": "KRW", "amount": 3}, "id": "1"}
        given = {
            "messages": [
                [message("system", "Be brief."), message("human", "얼마예요?")],
            ]
        }
        assert [(b.label, b.text) for b in readable.blocks(given)] == [
            ("system", "Be brief."),
            ("user", "얼마예요?"),
        ]
        answered = {
            "generations": [[{"text": "", "message": message("ai", "", tool_calls=[call])}]]
        }
        assert [(b.label, b.text) for b in readable.blocks(answered)] == [
            ("assistant calls", 'convert(to="KRW", amount=3)')
        ]
        openai = {
            "choices": [
                {
                    "message": {
                        "role": "assistant",
                        "content": [{"type": "text", "text": "Three."}],
                        "reasoning_content": "Count.",
                        "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}],
                    }
                }
            ]
        }
        assert [(b.label, b.text) for b in readable.blocks(openai)] == [
            ("assistant, thinking", "Count."),
            ("assistant", "Three."),
            ("assistant calls", 'f({"a": 1})'),
        ]

    def test_documents_are_shown_with_what_is_noted_of_them(self):
        document = {"kwargs": {"page_content": "Text.", "metadata": {"chunk_id": 7}}, "lc": 1}
        [block] = readable.blocks({"documents": [document]})
        assert (block.label, block.text) == ("document 1", "Text.\n\n(chunk_id=7)")
        assert readable.chunks({"documents": [document]}) == [7]

    @given(st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["messages", "generations", "message", "content", "type", "role", "lc", "kwargs",
                 "documents", "output", "tool_calls", "text", "passages", "id"]
            ),
            inner,
            max_size=4,
        ),
        max_leaves=12,
    ))  # fmt: skip
    def test_anything_at_all_can_be_read(self, value):
        for block in readable.blocks(value):
            assert isinstance(block.text, str)
        readable.chunks(value)
        readable.choice(value)
        readable.arguments(value)


def _stored(store, trace):
    store.write(trace.end())
    return trace
