"""Traces reach an OpenTelemetry collector whole, and nobody else."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from groundling import egress
from groundling.errors import TraceError
from groundling.tracing import otlp
from groundling.tracing.feedback import Feedback, FeedbackBook
from groundling.tracing.otlp import export, traces_address
from groundling.tracing.packing import decode
from groundling.tracing.payload import encode
from groundling.tracing.run import Patch, Payload, Status
from groundling.tracing.span_attributes import attribute, attributes_of
from groundling.tracing.spans import span_id, spans_of
from tests.scripted import ScriptedChat
from tests.tracing.collector import Collector, told

USAGE = {
    "input_tokens": 30,
    "output_tokens": 5,
    "total_tokens": 35,
    "input_token_details": {"cache_read": 12},
}
CALL = {"name": "double", "args": {"number": 21}, "id": "call-1", "type": "tool_call"}


@pytest.fixture
def collector(request):
    found = Collector(*getattr(request, "param", ()))
    yield found
    found.close()


@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document("17 days", metadata={"chunk_id": 7, "score": 0.5}), Document("none")]


def trace_of(recorded):
    """Record a program that searches, calls a tool, and asks a model."""
    answer = AIMessage(
        "Let me see.",
        tool_calls=[CALL],
        usage_metadata=USAGE,
        response_metadata={"finish_reason": "tool_calls", "model_name": "small-1"},
    )
    model = ScriptedChat([answer])

    def work(question):
        Shelf().invoke(question)
        double.invoke(
            {"args": {"number": 21}, "name": "double", "id": "call-1", "type": "tool_call"}
        )
        egress.announce("api.example", "model", 120)
        model.invoke(
            [SystemMessage("Be brief."), HumanMessage(question)],
            {
                "metadata": {
                    "prompt": "answer.en",
                    "prompt_sha256": "ab" * 32,
                    "ls_model_name": "small",
                },
                "tags": ["mine"],
            },
            temperature=0.5,
        )
        return {"answer": "17", "verdict": "answered"}

    RunnableLambda(work, name="work").invoke("leave?", {"metadata": {"thread_id": "t1"}})
    return recorded.store.trace(recorded.store.find()[0].id)


def test_the_tree_and_its_times_arrive_as_they_were(recorded, collector):
    runs = trace_of(recorded)
    report = export(recorded.store, [runs[-1], runs[0]], collector.address)
    assert (report.traces, report.spans, report.failed, report.rejected) == (1, len(runs), 0, 0)
    assert report.complete
    assert report.problems == []
    assert collector.requests[0][0] == "/v1/traces"
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"work", "Shelf", "double", "ScriptedChat"}
    for run in runs:
        span = spans[run.name]
        assert span.trace_id == run.trace.bytes
        assert span.span_id == run.id.bytes[8:]
        assert span.parent_span_id == (run.parent.bytes[8:] if run.parent else b"")
        assert span.start_time_unix_nano == run.started * 1000
        assert span.end_time_unix_nano == (run.started + run.duration) * 1000
        assert span.status.code == span.status.STATUS_CODE_OK
        assert told(span)["groundling.run.id"] == str(run.id)
    [resource] = {
        (about["service.name"], about["openinference.project.name"])
        for about in (told(each.resource) for each in collector.batches[0].resource_spans)
    }
    assert resource == ("groundling", "default")


def test_a_models_call_is_told_in_both_vocabularies(recorded, collector):
    runs = trace_of(recorded)
    export(recorded.store, runs, collector.address)
    [span] = [span for span in collector.spans if span.name == "ScriptedChat"]
    found = told(span)
    expected = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "small",
        "llm.provider": "scripted",
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "Be brief.",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": "leave?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "Let me see.",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "call-1",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "double",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"number": 21}',
        "llm.token_count.prompt": 30,
        "llm.token_count.completion": 5,
        "llm.token_count.total": 35,
        "llm.token_count.prompt_details.cache_read": 12,
        "llm.prompt_template.version": "ab" * 32,
        "prompt.id": "answer.en",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "small",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.model": "small-1",
        "gen_ai.response.finish_reasons": ["tool_calls"],
        "gen_ai.usage.input_tokens": 30,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 12,
        "gen_ai.prompt.name": "answer.en",
        "gen_ai.conversation.id": "t1",
        "session.id": "t1",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "mine" in found["tag.tags"]
    assert json.loads(found["metadata"])["prompt"] == "answer.en"
    assert json.loads(found["input.value"])["messages"]
    assert found["input.mime_type"] == "application/json"
    root = told(next(span for span in collector.spans if span.name == "work"))
    assert "llm.token_count.prompt" not in root  # viewers add up what all spans say


def test_tools_retrievers_and_verdicts_are_told(recorded, collector):
    export(recorded.store, trace_of(recorded), collector.address)
    spans = {span.name: told(span) for span in collector.spans}
    assert spans["double"]["openinference.span.kind"] == "TOOL"
    assert spans["double"]["tool.name"] == spans["double"]["gen_ai.tool.name"] == "double"
    assert json.loads(spans["double"]["tool.parameters"]) == {"number": 21}
    assert json.loads(spans["double"]["gen_ai.tool.call.arguments"]) == {"number": 21}
    assert spans["double"]["gen_ai.tool.call.id"] == "call-1"
    assert spans["double"]["gen_ai.operation.name"] == "execute_tool"
    shelf = spans["Shelf"]
    assert shelf["openinference.span.kind"] == "RETRIEVER"
    assert (shelf["input.value"], shelf["input.mime_type"]) == ("leave?", "text/plain")
    assert shelf["retrieval.documents.0.document.content"] == "17 days"
    assert shelf["retrieval.documents.0.document.id"] == "7"
    assert shelf["retrieval.documents.0.document.score"] == 0.5
    assert json.loads(shelf["retrieval.documents.0.document.metadata"])["chunk_id"] == 7
    assert shelf["retrieval.documents.1.document.content"] == "none"
    assert "retrieval.documents.1.document.id" not in shelf
    work = spans["work"]
    assert (work["openinference.span.kind"], work["groundling.verdict"]) == ("CHAIN", "answered")
    assert work["groundling.cpu_seconds"] >= 0
    assert work["groundling.egress"] == 1


async def test_events_tell_of_egress_first_tokens_and_feedback(recorded, collector):
    runs = trace_of(recorded)
    async for _ in ScriptedChat(["one two"]).astream("count"):
        pass
    streamed = recorded.store.find(limit=1)[0]
    book = FeedbackBook(recorded.store)
    book.add(
        Feedback("thumbs", runs[0].id, score=-1.0, comment="wrong", correction="18"),
        Feedback("topic", runs[-1].id, value="leave"),
    )
    export(recorded.store, [runs[0], streamed], collector.address)
    events = {
        (UUID(told(span)["groundling.run.id"]), event.name): event
        for span in collector.spans
        for event in span.events
    }
    note = events[runs[0].id, "egress"]
    assert told(note) == {"host": "api.example", "purpose": "model", "sent": 120}
    assert (runs[0].started - 1) * 1000 <= note.time_unix_nano
    assert note.time_unix_nano <= (runs[0].ended + 10_000) * 1000
    first = events[streamed.id, "new_token"].time_unix_nano
    assert abs(first - (streamed.started + streamed.first_token) * 1000) < 10_000
    judged = told(events[runs[0].id, "gen_ai.evaluation.result"])
    assert judged["gen_ai.evaluation.name"] == "thumbs"
    assert judged["gen_ai.evaluation.score.value"] == -1.0
    assert judged["gen_ai.evaluation.explanation"] == "wrong"
    assert judged["groundling.feedback.correction"] == "18"
    label = told(events[runs[-1].id, "gen_ai.evaluation.result"])
    assert label["gen_ai.evaluation.score.label"] == "leave"
    assert {name for _, name in events} == {"egress", "new_token", "gen_ai.evaluation.result"}


def test_errors_lost_and_unfinished_runs_are_told_apart(recorded, collector):
    def fail(_):
        raise ValueError("the oven is cold")

    with pytest.raises(ValueError):
        RunnableLambda(fail).invoke("x")
    failed = recorded.store.find()[0]
    lost, below, running = uuid4(), uuid4(), uuid4()
    recorded.store.write(
        [
            Patch(id=lost, name="lost", started=1_000_000, status=Status.LOST),
            Patch(id=below, trace=lost, parent=lost, name="below", started=1_500_000, duration=500),
            Patch(id=running, name="running", started=3_000_000, status=Status.RUNNING),
            Patch(
                id=uuid4(),
                trace=running,
                parent=running,
                name="over",
                started=3_000_000,
                duration=5,
                status=Status.CANCELLED,
            ),
        ]
    )
    runs = [failed, *(recorded.store.run(each) for each in (lost, running))]
    report = export(recorded.store, runs, collector.address)
    assert (report.traces, report.spans, report.running) == (3, 4, 1)
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"fail", "lost", "below", "over"}
    assert spans["fail"].status.code == spans["fail"].status.STATUS_CODE_ERROR
    assert spans["fail"].status.message == "ValueError('the oven is cold')"
    [event] = spans["fail"].events
    assert event.name == "exception"
    assert told(event)["exception.type"] == "ValueError"
    assert told(event)["exception.message"] == "'the oven is cold'"
    assert "test_otlp.py" in told(event)["exception.stacktrace"]
    assert spans["lost"].status.message.startswith("lost")
    assert spans["lost"].end_time_unix_nano == 1_500_500_000
    assert spans["over"].status.code == spans["over"].status.STATUS_CODE_UNSET
    assert spans["over"].parent_span_id == running.bytes[8:]


def many(store, count):
    ids = [uuid4() for _ in range(count)]
    store.write([Patch(id=id, name="x", started=1, duration=1, inputs=encode({})) for id in ids])
    return [store.run(id) for id in ids]


@pytest.mark.parametrize("collector", [(400, 200)], indirect=True)
def test_a_refused_batch_is_counted_and_the_others_are_sent(store, collector, monkeypatch):
    monkeypatch.setattr(otlp, "BATCH", 2)
    report = export(store, many(store, 5), collector.address)
    assert (report.spans, report.failed, report.complete) == (3, 2, False)
    assert report.problems == ["HTTP 400: Bad Request"]


@pytest.mark.parametrize("collector", [((401, b"no key"), 200)], indirect=True)
def test_a_collector_that_lets_nobody_in_is_not_asked_again(store, collector, monkeypatch):
    monkeypatch.setattr(otlp, "BATCH", 2)
    report = export(store, many(store, 5), collector.address)
    assert (report.spans, report.failed) == (0, 5)
    assert report.problems == ["HTTP 401: no key"]
    assert len(collector.requests) == 1


@pytest.mark.parametrize("collector", [(503,)], indirect=True)
def test_a_collector_that_stays_busy_is_given_up(store, collector, caplog):
    with caplog.at_level(logging.DEBUG):
        report = export(store, many(store, 3), collector.address, timeout=0.2)
    assert (report.spans, report.failed) == (0, 3)
    assert report.problems == ["HTTP 503: Service Unavailable"]
    assert [record for record in caplog.records if "opentelemetry" in record.name] == []


@pytest.mark.parametrize("collector", [(503, 200)], indirect=True)
def test_a_collector_that_is_busy_for_a_moment_is_asked_again(store, collector):
    report = export(store, many(store, 3), collector.address)
    assert (report.spans, report.complete, report.problems) == (3, True, [])
    assert len(collector.requests) == 2


def test_a_collector_that_is_down_is_reported(store):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    report = export(store, many(store, 3), address)
    assert (report.spans, report.failed) == (0, 3)
    assert report.problems == ["nobody answers there"]


def partial(rejected, message):
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected
    answer.partial_success.error_message = message
    return answer.SerializeToString()


@pytest.mark.parametrize("collector", [((200, partial(2, "too old")),)], indirect=True)
def test_spans_that_the_collector_does_not_take_are_counted(store, collector):
    report = export(store, many(store, 5), collector.address)
    assert (report.spans, report.rejected, report.failed) == (3, 2, 0)
    assert report.problems == ["too old"]
    assert not report.complete


@pytest.mark.parametrize("collector", [((200, b'{"partialSuccess":{}}'),)], indirect=True)
def test_an_answer_that_is_no_protobuf_is_a_yes(store, collector):
    assert export(store, many(store, 2), collector.address).spans == 2


def test_a_redirection_is_not_followed(store):
    elsewhere = Collector()
    collector = Collector((307, f"{elsewhere.address}/v1/traces".encode()))
    try:
        report = export(store, many(store, 2), collector.address)
        assert (report.spans, report.failed) == (0, 2)
        assert "HTTP 307" in report.problems[0]
        assert elsewhere.requests == []
    finally:
        collector.close()
        elsewhere.close()


def test_another_machine_is_refused_until_the_owner_allows_it(store):
    with pytest.raises(TraceError, match=r"api\.example is another machine") as caught:
        export(store, many(store, 1), "https://api.example/otel")
    assert "groundling config set tracing.upload true" in caught.value.hint
    assert traces_address("https://api.example/otel", upload=True) == (
        "https://api.example/otel/v1/traces"
    )


def test_what_goes_to_another_machine_is_announced(store, monkeypatch):
    heard = []
    monkeypatch.setattr(egress, "_listeners", [heard.append])
    # Sockets to other machines are blocked here: that it was announced before shows in the list.
    report = export(store, many(store, 2), "http://192.0.2.1:4318", upload=True, timeout=0.5)
    assert report.failed == 2
    assert [(call.host, call.purpose) for call in heard] == [("192.0.2.1", "otlp")]
    assert heard[0].sent > 50


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/traces"),
        ("http://[::1]:6006", "http://[::1]:6006/v1/traces"),
        ("https://localhost/api/public/otel", "https://localhost/api/public/otel/v1/traces"),
    ],
)
def test_addresses_are_completed_as_the_specification_says(given, address):
    assert traces_address(given) == address


@pytest.mark.parametrize(
    "address", ["127.0.0.1:4318", "ftp://127.0.0.1", "http://", "http://127.0.0.1:x", ""]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(TraceError, match="no address"):
        traces_address(address)


def test_logins_in_addresses_are_refused():
    with pytest.raises(TraceError, match="login") as caught:
        traces_address("http://me:secret@127.0.0.1:4318")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("headers", [{"x y": "1"}, {"x": "a\nb"}, {"x": "é"}, {"": "1"}])
def test_headers_that_http_has_not_are_refused(store, collector, headers):
    with pytest.raises(TraceError, match="cannot be sent"):
        export(store, many(store, 1), collector.address, headers)


def test_the_environment_neither_redirects_nor_adds_anything(store, collector, monkeypatch):
    other = Collector()
    trap = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": other.address,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{other.address}/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20theirs,content-type=text/plain",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-theirs=1",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "deflate",
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "/nowhere/ca.pem",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "0.0001",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=theirs,host.name=secret",
        "OTEL_SERVICE_NAME": "theirs",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1",
        "HTTP_PROXY": other.address,
        "http_proxy": other.address,
        "ALL_PROXY": other.address,
        "NO_PROXY": "",
        "no_proxy": "",
    }
    for name, value in trap.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    try:
        report = export(store, many(store, 1), collector.address, {"x-mine": "2"})
    finally:
        other.close()
    assert report.spans == 1
    assert other.requests == []
    [(_, headers)] = collector.requests
    sent = {name.lower(): value for name, value in headers.items()}
    assert sent["x-mine"] == "2"
    assert sent["content-type"] == "application/x-protobuf"
    assert not {"authorization", "x-theirs"} & set(sent)
    [resource] = [told(each.resource) for each in collector.batches[0].resource_spans]
    assert resource["service.name"] == "groundling"
    assert "host.name" not in resource
    assert len(told(collector.spans[0])) > 3
    assert dict(os.environ) == before


def test_without_the_extra_the_way_to_install_it_is_told(store, monkeypatch):
    for name in ("groundling.tracing.otlp_http", "groundling.tracing.spans"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(TraceError, match=r"opentelemetry.* is not installed") as caught:
        export(store, many(store, 1), "http://127.0.0.1:1")
    assert caught.value.hint == "pip install 'groundling[otlp]'"


def test_large_batches_are_divided(store, collector, monkeypatch):
    monkeypatch.setattr(otlp, "BATCH_CHARACTERS", 1_000)
    for run in (runs := many(store, 4)):
        store.write([Patch(id=run.id, outputs=encode({"output": "x" * 700}))])
    assert export(store, runs, collector.address).spans == 4
    assert len(collector.requests) == 4


def test_span_ids_are_never_zero_and_never_twice_in_a_trace(store):
    root = UUID(int=5 << 64)
    same = [UUID(int=(n << 64) + 7) for n in range(1, 4)]
    patches = [Patch(id=each, trace=root, parent=root, name="x", started=2) for each in same]
    store.write([Patch(id=root, name="root", started=1, duration=1), *patches])
    store.write([Patch(id=each, duration=1) for each in same])
    runs = store.trace(root)
    for _ in range(2):
        spans = spans_of(runs, store.payloads(runs))
        ids = [span.context.span_id for span in spans]
        assert len(set(ids)) == 4
        assert 0 not in ids
        assert {span.parent.span_id for span in spans[1:]} == {ids[0]}
    assert span_id(same[0]) == 7


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FORMS = st.fixed_dictionaries(
    {},
    optional={
        "messages": JSON,
        "prompts": JSON,
        "generations": JSON,
        "documents": JSON,
        "choices": JSON,
        "invocation_params": JSON,
        "metadata": JSON,
        "tool_call_id": JSON,
        "question": JSON,
    },
)


@given(st.sampled_from(["llm", "tool", "retriever", "embedding", "chain", "odd"]), FORMS)
def test_no_payload_whatever_its_form_fails(kind, form):
    form = decode(encode(form))
    run = example_run(kind)
    payload = Payload(form, form, [form, "x"], form, None)
    for name, value in attributes_of(run, payload).items():
        assert isinstance(name, str)
        assert isinstance(value, str | bool | int | float | list)
        assert attribute(value) == value or value != value
    [span] = spans_of([run], {run.seq: payload})
    assert span.to_json()


def example_run(kind):
    from groundling.tracing.run import StoredRun

    nothing = dict.fromkeys(
        (
            "parent", "graph", "node", "error", "model", "prompt", "prompt_sha256", "input_tokens",
            "output_tokens", "cached_tokens", "first_token", "speed", "verdict", "thread", "cpu",
            "memory", "example",
        )
    )  # fmt: skip
    return StoredRun(
        seq=1,
        id=UUID(int=1),
        trace=UUID(int=1),
        dotted_order="",
        project="default",
        project_id=UUID(int=2),
        name="x",
        run_type=kind,
        started=1,
        duration=1,
        status=Status.SUCCESS,
        egress=0,
        redacted=0,
        tags=[],
        preview="",
        answer="",
        **nothing,
    )
