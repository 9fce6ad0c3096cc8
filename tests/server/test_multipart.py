"""Bodies of requests become patches of runs, however they are cut and in whatever order."""

from __future__ import annotations

import json
import tracemalloc
import uuid
from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from groundling.server.langsmith.assembly import Assembly
from groundling.server.langsmith.errors import BadPart
from groundling.server.langsmith.multipart import MultipartReader
from groundling.server.langsmith.service import Limits
from groundling.tracing.feedback import Feedback
from groundling.tracing.packing import MAX_BYTES
from groundling.tracing.run import Patch
from tests.server.forms import BOUNDARY, CONTENT_TYPE, Part, form, part, parts_of, run

FIRST, SECOND = UUID(int=1), UUID(int=2)


def request(content_type: str = CONTENT_TYPE, **headers: str) -> Request:
    given = {"content-type": content_type, **headers}
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "POST", "headers": pairs})


def assemble(
    body: bytes, cuts: Sequence[int] = (), limits: Limits | None = None, **headers: str
) -> Assembly:
    """Read a body that arrives in pieces."""
    limits = limits or Limits()
    assembly = Assembly(limits)
    reader = MultipartReader(request(**headers), limits, assembly.part)
    places = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    for start, end in pairwise(places):
        reader.feed(body[start:end])
    reader.close()
    return assembly


def known(assembly: Assembly) -> tuple[dict[UUID, list[Patch]], dict[UUID, Feedback]]:
    patches: dict[UUID, list[Patch]] = {}
    for patch in assembly.patches():
        patches.setdefault(patch.id, []).append(patch)
    ordered = {
        id: sorted(found, key=lambda each: sorted(each.attachments))
        for id, found in patches.items()
    }
    return ordered, {each.id: each for each in assembly.feedback}


PARTS: list[Part] = [
    *parts_of(
        run("first", FIRST, end_time=None, tags=["x"], session_id=str(SECOND)),
        inputs={"question": "Wie viele? \u2028 \ud55c"},
        extra={"metadata": {"a": 1}},
    ),
    *parts_of(
        {"id": str(FIRST), "trace_id": str(FIRST), "end_time": "2026-01-01T00:00:00Z"},
        "patch",
        outputs={"answer": "--" + BOUNDARY[:10]},
        events=[{"name": "start"}],
        error="ValueError('no')",
    ),
    *parts_of(
        run("second", SECOND, parent_run_id=str(FIRST)),
        inputs={},
        outputs={"text": "\r\n--"},
        serialized={"lc": 1},
    ),
    (f"attachment.{SECOND}.picture", "image/png", bytes(range(256)) * 3),
    (f"attachment.{SECOND}.my file", "application/octet-stream; length=4", b"\r\n--"),
    part(
        f"feedback.{UUID(int=7)}",
        {
            "key": "correct",
            "score": True,
            "run_id": str(FIRST),
            "trace_id": str(FIRST),
            "created_at": "2026-01-01T00:00:00+00:00",
        },
    ),
]
WHOLE = known(assemble(form(PARTS)))


def test_a_body_becomes_runs_attachments_and_feedback() -> None:
    patches, feedback = WHOLE
    (first,) = patches[FIRST]
    assert (first.name, first.tags, first.project, first.project_id) == (
        "first",
        ["x"],
        "forms",
        SECOND,
    )
    assert json.loads(first.inputs or b"") == {"question": "Wie viele? \u2028 \ud55c"}
    assert json.loads(first.outputs or b"") == {"answer": "--" + BOUNDARY[:10]}
    assert first.error == "ValueError('no')"
    assert first.ended == 1_767_225_600_000_000
    second, *attached = sorted(patches[SECOND], key=lambda each: len(each.attachments))
    assert second.parent == FIRST
    assert {name: kind for each in attached for name, (kind, _) in each.attachments.items()} == {
        "picture": "image/png",
        "my file": "application/octet-stream",
    }
    assert attached[0].attachments.get("picture", ("", b""))[1] in (b"", bytes(range(256)) * 3)
    assert feedback[UUID(int=7)].score == 1.0
    assert feedback[UUID(int=7)].run == FIRST


@given(
    parts=st.permutations(PARTS),
    cuts=st.lists(st.integers(0, 4000), max_size=30),
    packed=st.booleans(),
)
def test_order_and_pieces_make_no_difference(
    parts: list[Part], cuts: list[int], packed: bool
) -> None:
    body = form(parts)
    if packed:
        body = zstandard.compress(body)
    headers = {"content_encoding": "zstd"} if packed else {}
    assembly = assemble(body, cuts, **headers)
    assert not assembly.faults
    assert known(assembly) == WHOLE


@given(start=st.integers(0, 3000), noise=st.binary(min_size=1, max_size=8))
def test_a_damaged_body_is_read_or_refused_and_never_breaks(start: int, noise: bytes) -> None:
    body = form(PARTS)
    broken = body[:start] + noise + body[start + len(noise) :]
    assembly = Assembly(Limits())
    reader = MultipartReader(request(), Limits(), assembly.part)
    try:
        reader.feed(broken)
        reader.close()
    except BadPart as error:
        assembly.fault("the body", str(error))
    patches = assembly.patches()
    assert all(isinstance(patch.id, UUID) for patch in patches)
    # Whatever is wrong, nothing wrong may reach the store: all payloads are JSON objects.
    assert all(json.loads(patch.inputs or b"{}") is not None for patch in patches)


@given(st.binary(max_size=300))
def test_what_is_no_zstd_is_refused(noise: bytes) -> None:
    assembly = Assembly(Limits())
    reader = MultipartReader(request(content_encoding="zstd"), Limits(), assembly.part)

    def read() -> None:
        reader.feed(noise)
        reader.close()

    with pytest.raises(BadPart):
        read()


def test_a_cut_off_body_gives_what_was_whole() -> None:
    one, other = run("one"), run("other")
    body = form([*parts_of(one, inputs={"a": 1}), *parts_of(other)])
    assembly = Assembly(Limits())
    reader = MultipartReader(request(), Limits(), assembly.part)
    reader.feed(body[: body.rindex(b"Content-Length") - 5])
    with pytest.raises(BadPart, match="cut off after 2 parts"):
        reader.close()
    (patch,) = assembly.patches()
    assert (patch.name, patch.inputs) == ("one", b'{"a": 1}')


def test_a_cut_off_zstd_frame_is_noticed() -> None:
    body = zstandard.compress(form(parts_of(run(), inputs={"a": str(uuid.uuid4())})))
    with pytest.raises(BadPart, match="cut off"):
        assemble(body[:-3], content_encoding="zstd")


def test_several_zstd_frames_are_one_body() -> None:
    body = form(parts_of(run("one"), inputs={"a": 1}))
    packed = zstandard.compress(body[:100]) + zstandard.compress(body[100:])
    (patch,) = assemble(packed, content_encoding="zstd").patches()
    assert patch.name == "one"


def test_a_zstd_bomb_is_stopped_before_it_fills_the_memory() -> None:
    bomb = zstandard.compress(form([part("post.x", b" " * 100_000_000)]))
    assert len(bomb) < 50_000
    limits = Limits(body=1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(HTTPException) as refused:
            assemble(bomb, limits=limits, content_encoding="zstd")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.status_code == 413
    assert peak < 40_000_000


def test_a_body_of_many_parts_is_stopped() -> None:
    body = form([part(f"post.{UUID(int=n)}", run(id=UUID(int=n))) for n in range(20)])
    assembly = Assembly(Limits())
    reader = MultipartReader(request(), Limits(parts=10), assembly.part)
    with pytest.raises(BadPart, match="more than 10 parts"):
        reader.feed(body)
    assert len(assembly.patches()) == 10


@pytest.mark.parametrize(
    ("content_type", "status", "reason"),
    [
        ("application/json", 415, "should be multipart/form-data"),
        ("multipart/form-data", 422, "names no boundary"),
        ("", 415, "should be multipart/form-data"),
        (f"multipart/form-data; boundary={'x' * 300}", 422, "boundary"),
    ],
)
def test_headers_that_announce_no_form_are_refused(
    content_type: str, status: int, reason: str
) -> None:
    with pytest.raises(HTTPException, match=reason) as refused:
        MultipartReader(request(content_type), Limits(), lambda _: None)
    assert refused.value.status_code == status


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(HTTPException) as refused:
        assemble(b"", content_encoding="br")
    assert refused.value.status_code == 415


GOOD = run("good")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (part("post.nonsense", run()), "id 'nonsense' is no UUID"),
        (part("put." + GOOD["id"], run()), "no part of a run is called so"),
        (part(f"post.{UUID(int=5)}", b"{"), "no JSON"),
        (part(f"post.{UUID(int=5)}", [1]), "it is no JSON object"),
        (part(f"post.{UUID(int=5)}", {"start_time": "noon"}), "no time: 'noon'"),
        (part(f"post.{UUID(int=5)}", {"parent_run_id": 5}), "parent_run_id '5' is no UUID"),
        (part(f"post.{UUID(int=5)}", {"tags": "x"}), "tags are a list"),
        (part(f"post.{UUID(int=5)}.colour", "red"), "runs have no colour"),
        (part(f"post.{UUID(int=5)}.extra", [1]), "extra is an object"),
        (part(f"post.{UUID(int=5)}.events", {"a": 1}), "events are a list"),
        (part(f"feedback.{UUID(int=5)}", {"score": 1}), "feedback needs a key"),
        (part(f"feedback.{UUID(int=5)}", {"key": "k", "score": "high"}), "is no number"),
        ((f"attachment.{UUID(int=5)}", "image/png", b"x"), "needs a name"),
        ((f"attachment.{UUID(int=5)}.a", "image/png", b"x" * 2000), "at most 1,000 bytes"),
        (("", "text/plain", b""), "no part of a run is called so"),
    ],
)
def test_a_wrong_part_is_named_and_the_others_are_kept(wrong: Part, reason: str) -> None:
    body = form([*parts_of(GOOD, inputs={"a": 1}), wrong])
    assembly = assemble(body, limits=Limits(attachment=1000))
    (fault,) = assembly.faults.values()
    assert reason in fault
    named = [patch.name for patch in assembly.patches() if patch.name]
    assert named == ["good"]
    assert not assembly.feedback


def test_a_run_whose_main_part_is_broken_leaves_no_nameless_run() -> None:
    broken = UUID(int=9)
    body = form(
        [
            part(f"post.{broken}.inputs", {"a": 1}),
            part(f"post.{broken}", b"nonsense"),
            (f"attachment.{broken}.file", "text/plain", b"x"),
            *parts_of(GOOD),
        ]
    )
    assembly = assemble(body)
    assert [patch.id for patch in assembly.patches()] == [UUID(GOOD["id"])]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b'{"a": NaN}', {"a": None}),
        (b'{"a": "\\ud800"}', {"a": "?"}),
        (b"[1, 2]", {"input": [1, 2]}),
        (b'"text"', {"input": "text"}),
        (b"[" * 300 + b"]" * 300, None),
        (b'{"a":' * 900 + b"1" + b"}" * 900, None),
    ],
)
def test_odd_json_is_stored_as_what_json_can_say(sent: bytes, stored: object) -> None:
    fields = run()
    (patch,) = assemble(form(parts_of(fields, inputs=sent))).patches()
    read = json.loads(patch.inputs or b"")
    assert isinstance(read, dict)
    if stored is not None:
        assert read == stored


def test_a_large_payload_is_shortened_and_says_so() -> None:
    fields = run()
    text = "x" * 50_000_000
    (patch,) = assemble(form(parts_of(fields, inputs={"text": text, "short": "kept"}))).patches()
    assert len(patch.inputs or b"") <= MAX_BYTES
    read = json.loads(patch.inputs or b"")
    assert read["short"] == "kept"
    assert read["text"].endswith("… <50000000 characters>")


def test_the_first_token_is_found_in_the_events() -> None:
    fields = run(start_time="2026-01-01T00:00:00+00:00", end_time="2026-01-01T00:00:02+00:00")
    events = [
        {"name": "start", "time": "2026-01-01T00:00:00+00:00"},
        {"name": "new_token", "time": "2026-01-01T00:00:00.250000+00:00"},
        {"name": "end", "time": "2026-01-01T00:00:02+00:00"},
    ]
    (patch,) = assemble(form(parts_of(fields, events=events))).patches()
    assert patch.first_token == 250_000
    del fields["start_time"]
    fields["dotted_order"] = f"20260101T000000000000Z{fields['id']}"
    (patch,) = assemble(form(parts_of(fields, "patch", events=events))).patches()
    assert patch.first_token == 250_000
