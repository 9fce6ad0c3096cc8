"""Documents over HTTP: uploaded, read in by a job, shown to the character, removed."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from groundling.knowledge.base import Knowledge
from groundling.server.api.jobs import Jobs
from groundling.server.api.uploads import _INCOMING
from tests.scripted import ScriptedChat
from tests.server.api.conftest import LEAVE, added, ended, until, upload
from tests.server.live import Live, serving

_BOUNDARY = {"Content-Type": "multipart/form-data; boundary=x"}


def listed(client: httpx.Client, base: str) -> list[str]:
    return [
        each["source"]
        for each in client.get(f"/api/knowledge/{base}/documents").json()["documents"]
    ]


def on_disk(home: Path, base: str) -> list[str]:
    return sorted(path.name for path in (home / "knowledge" / base / "documents").iterdir())


def test_each_file_is_told_what_became_of_it(client: httpx.Client, home: Path) -> None:
    report = added(
        client,
        "handbook",
        ("leave.md", LEAVE),
        ("empty.txt", b""),
        ("broken.pdf", b"%PDF-1.4 no more"),
        ("picture.png", b"\x89PNG"),
    )
    outcomes = {each["name"]: each["outcome"] for each in report["files"]}
    assert outcomes == {
        "leave.md": "added",
        "empty.txt": "skipped",
        "broken.pdf": "skipped",
        "picture.png": "skipped",
    }
    assert all(each["reason"] for each in report["files"] if each["outcome"] == "skipped")
    assert str(home) not in str(report)
    assert (report["added"], report["skipped"]) == (1, 3)
    assert listed(client, "handbook") == ["leave.md"]
    assert on_disk(home, "handbook") == ["leave.md"]

    again = added(client, "handbook", ("leave.md", LEAVE))
    assert again["files"] == [{"name": "leave.md", "outcome": "unchanged", "reason": None}]
    new = added(client, "handbook", ("leave.md", LEAVE + b"\nAnd 3 days of study.\n"))
    assert new["files"][0]["outcome"] == "replaced"
    assert listed(client, "handbook") == ["leave.md"]


def test_names_lead_nowhere_and_are_told_apart(client: httpx.Client, home: Path) -> None:
    report = added(
        client,
        "handbook",
        ("../../../evil.md", LEAVE),
        ("..\\..\\evil.md", b"# Another\n\nText of it.\n"),
        ("/etc/passwd.txt", b"root: nobody\n"),
        (".hidden.md", b"# Hidden\n\nNot any more.\n"),
    )
    names = {each["name"] for each in report["files"]}
    assert names == {"evil.md", "evil (2).md", "passwd.txt", "hidden.md"}
    assert set(listed(client, "handbook")) == names
    assert set(on_disk(home, "handbook")) == names
    outside = [path for path in home.parent.rglob("*evil*") if "documents" not in path.parts]
    assert outside == []


def test_an_upload_does_not_take_the_name_of_a_document_added_otherwise(
    client: httpx.Client, home: Path, tmp_path: Path
) -> None:
    client.post("/api/knowledge", json={"name": "handbook"})
    (tmp_path / "leave.md").write_bytes(LEAVE)
    with Knowledge.open(home / "knowledge" / "handbook", None) as base:
        base.add([tmp_path / "leave.md"])
    report = added(client, "handbook", ("leave.md", b"# Leave\n\nOf another kind.\n"))
    assert report["files"][0]["name"] == "leave (2).md"
    assert listed(client, "handbook") == ["leave (2).md", "leave.md"]


def test_what_an_archive_holds_is_there_and_goes_with_it(client: httpx.Client, home: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/one.md", "# One\n\nThe first.\n")
        archive.writestr("../../two.md", "# Two\n\nThe second.\n")
    report = added(client, "papers", ("all.zip", packed.getvalue()))
    assert report["files"][0]["outcome"] == "added"
    found = client.get("/api/knowledge/papers/documents").json()["documents"]
    assert all(each["source"].startswith("all.zip!/") for each in found)
    for each in found:
        assert on_disk(home, "papers") == ["all.zip"]
        assert client.delete(f"/api/knowledge/papers/documents/{each['id']}").status_code == 204
    assert on_disk(home, "papers") == []


def test_a_citation_opens_at_its_characters(client: httpx.Client) -> None:
    text = "# 휴가\n\n직원은 25일의 휴가를 씁니다. 🎉 끝.\n"
    added(client, "handbook", ("휴가.md", text.encode()))
    [document] = client.get("/api/knowledge/handbook/documents").json()["documents"]
    path = f"/api/knowledge/handbook/documents/{document['id']}"
    whole = client.get(f"{path}/text").json()
    assert whole["length"] == len(whole["text"]) == document["characters"]
    start = whole["text"].index("25일")
    shown = client.get(
        f"{path}/text", params={"start": start, "end": start + 3, "around": 5}
    ).json()
    assert shown["text"] == "25일"
    assert shown["before"] == whole["text"][start - 5 : start]
    assert shown["after"] == whole["text"][start + 3 : start + 8]
    assert client.get(f"{path}/text", params={"start": 9, "end": 8}).status_code == 422
    beyond = client.get(f"{path}/text", params={"start": 10**12}).json()
    assert (beyond["text"], beyond["start"]) == ("", whole["length"])
    named = client.get("/api/knowledge/handbook/documents/by-source", params={"source": "휴가.md"})
    assert named.json() == client.get(path).json() == document
    passages = client.get(f"{path}/passages").json()["passages"]
    assert [whole["text"][each["start"] : each["end"]] for each in passages] == [
        each["text"] for each in passages
    ]


def test_poison_in_a_document_is_text_and_nothing_else(client: httpx.Client) -> None:
    script = b"# <script>alert(1)</script>\n\n<img src=x onerror=alert(2)> leave\n"
    added(client, "handbook", ("<script>.md", script))
    for answer in (
        client.get("/api/knowledge/handbook/documents"),
        client.get("/api/knowledge/handbook/documents/1/text"),
        client.post("/api/knowledge/handbook/search", json={"query": "leave"}),
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"--x--\r\n", _BOUNDARY, 422),
        (b"", _BOUNDARY, 422),
        (b"no multipart at all", _BOUNDARY, 422),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n', _BOUNDARY, 422),
        (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.md"\r\n\r\nhalf',
            _BOUNDARY,
            422,
        ),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"x", {"Content-Type": "multipart/form-data"}, 422),
    ],
)
def test_a_body_that_is_none_leaves_nothing(
    client: httpx.Client, home: Path, body: bytes, headers: dict[str, str], status: int
) -> None:
    client.post("/api/knowledge", json={"name": "handbook"})
    answer = client.post("/api/knowledge/handbook/documents", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    documents = home / "knowledge" / "handbook" / "documents"
    assert not documents.exists() or list(documents.iterdir()) == []


class Stopped:
    """Stands in for reading: a job waits in it until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        real = Knowledge.add

        def add(base: Knowledge, paths: Any, **options: Any) -> Any:
            tell = options["progress"]
            tell("reading", 0, len(paths))
            self.reached.set()
            assert self.go.wait(30)
            return real(base, paths, **options)

        monkeypatch.setattr(Knowledge, "add", add)


def test_a_base_may_be_deleted_while_its_files_arrive(
    live: Live, client: httpx.Client, home: Path
) -> None:
    client.post("/api/knowledge", json={"name": "handbook"})
    part = "--x\r\nContent-Disposition: form-data; name=files; filename={}.md\r\n\r\n"

    def body() -> Iterator[bytes]:
        yield part.format("a").encode() + b"a" * (2 << 20)
        until(lambda: any((home / "knowledge/handbook").glob(f"documents/{_INCOMING}*/*")))
        with live.client() as other:
            assert other.delete("/api/knowledge/handbook").status_code == 204
        yield b"\r\n" + part.format("b").encode() + b"b" * (2 << 20) + b"\r\n--x--\r\n"

    answer = client.post("/api/knowledge/handbook/documents", content=body(), headers=_BOUNDARY)
    assert answer.status_code == 404, answer.text
    assert "was deleted" in answer.json()["detail"]
    assert not (home / "knowledge/handbook").exists()
    assert client.post("/api/knowledge", json={"name": "handbook"}).status_code == 201


def test_one_writes_to_a_base_at_a_time(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    added(client, "handbook", ("old.md", LEAVE))
    stopped = Stopped(monkeypatch)
    job = upload(client, "handbook", ("leave.md", LEAVE)).json()
    assert stopped.reached.wait(20)
    assert client.get(f"/api/jobs/{job['id']}").json()["state"] == "running"
    for refused in (
        upload(client, "handbook", ("pay.md", LEAVE)),
        client.delete("/api/knowledge/handbook"),
        client.delete("/api/knowledge/handbook/documents/1"),
    ):
        assert refused.status_code == 409
        assert job["id"] in refused.json()["hint"]
    assert client.get("/api/knowledge/handbook/documents").status_code == 200  # reading goes on
    stopped.go.set()
    assert ended(client, job)["state"] == "done"
    assert not [name for name in on_disk(home, "handbook") if name.startswith(_INCOMING)]
    assert client.delete("/api/knowledge/handbook/documents/1").status_code == 204
    assert next(each["id"] for each in client.get("/api/jobs").json()["jobs"]) == job["id"]


def test_a_cancelled_job_keeps_what_was_read_and_nothing_else(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    client.post("/api/knowledge", json={"name": "handbook"})
    stopped = Stopped(monkeypatch)
    job = upload(client, "handbook", ("a.md", LEAVE), ("b.md", LEAVE)).json()
    assert stopped.reached.wait(20)
    assert client.delete(f"/api/jobs/{job['id']}").status_code == 200
    stopped.go.set()
    told = ended(client, job)
    assert told["state"] == "cancelled"
    assert {each["outcome"] for each in told["report"]["files"]} == {"skipped"}
    assert on_disk(home, "handbook") == []
    assert listed(client, "handbook") == []


def test_a_job_goes_on_when_its_client_is_gone(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/api/knowledge", json={"name": "handbook"})
    stopped = Stopped(monkeypatch)
    job = upload(client, "handbook", ("a.md", LEAVE)).json()
    with client.stream("GET", f"/api/jobs/{job['id']}/events") as events:
        next(events.iter_lines())  # and away
    stopped.go.set()
    until(lambda: client.get(f"/api/jobs/{job['id']}").json()["state"] == "done")
    assert listed(client, "handbook") == ["a.md"]


def test_jobs_are_their_owners(people: dict[str, httpx.Client]) -> None:
    ann, ben = people["ann"], people["ben"]
    ann.post("/api/knowledge", json={"name": "mine"})
    job = upload(ann, "mine", ("a.md", LEAVE)).json()
    ended(ann, job)
    for call in (ben.get, ben.delete):
        assert call(f"/api/jobs/{job['id']}").status_code == 404
    assert ben.get(f"/api/jobs/{job['id']}/events").status_code == 404
    assert ben.get("/api/jobs").json() == {"jobs": []}
    assert upload(ben, "ann:mine", ("b.md", LEAVE)).status_code == 404
    assert upload(people["carl"], "mine", ("b.md", LEAVE)).status_code == 403


def test_what_a_killed_server_left_unread_is_read_next(client: httpx.Client, home: Path) -> None:
    added(client, "handbook", ("a.md", LEAVE))
    left = home / "knowledge" / "handbook" / "documents" / "left.md"
    left.write_bytes(b"# Left\n\nThis one was never read.\n")
    added(client, "handbook", ("b.md", b"# B\n\nText of b.\n"))
    assert listed(client, "handbook") == ["a.md", "b.md", "left.md"]


def test_a_server_that_ends_leaves_what_it_has_not_read_for_the_next(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stopped = Stopped(patched)
        real = Jobs.close

        async def close(jobs: Jobs) -> None:
            for job in jobs._jobs.values():
                job.cancel("ending")
            stopped.go.set()
            await real(jobs)

        patched.setattr(Jobs, "close", close)
        with serving(model=ScriptedChat()) as live, live.client() as client:
            client.post("/api/knowledge", json={"name": "handbook"})
            assert upload(client, "handbook", ("a.md", LEAVE)).status_code == 202
            assert stopped.reached.wait(20)
    assert on_disk(home, "handbook") == ["a.md"]
    with serving(model=ScriptedChat()) as live, live.client() as client:
        assert listed(client, "handbook") == []
        added(client, "handbook", ("b.md", b"# B\n\nText of b.\n"))
        assert listed(client, "handbook") == ["a.md", "b.md"]
