"""Knowledge bases over HTTP: made, shared, searched, deleted, each by whom it may be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.server.api.conftest import LEAVE, added
from tests.server.live import Live


def test_a_base_is_made_described_and_deleted(client: httpx.Client, home: Path) -> None:
    made = client.post("/api/knowledge", json={"name": "handbook"})
    assert made.status_code == 201
    assert made.json() | {"bytes": 0, "index": None} == {
        "id": "handbook", "name": "handbook", "owner": "default", "shared": False,
        "writable": True, "documents": 0, "passages": 0, "waiting": 0, "characters": 0,
        "bytes": 0, "languages": {}, "index": None, "embedder": None, "error": None,
    }  # fmt: skip
    assert client.get("/api/knowledge").json()["knowledge"] == [
        client.get("/api/knowledge/handbook").json()
    ]
    assert client.delete("/api/knowledge/handbook").status_code == 204
    assert client.get("/api/knowledge/handbook").status_code == 404
    assert client.delete("/api/knowledge/handbook").status_code == 404
    assert list((home / "knowledge").iterdir()) == []
    assert client.post("/api/knowledge", json={"name": "handbook"}).status_code == 201


def test_a_name_is_taken_once(client: httpx.Client) -> None:
    assert client.post("/api/knowledge", json={"name": "one"}).status_code == 201
    again = client.post("/api/knowledge", json={"name": "One"})
    assert again.status_code == 409
    assert "already" in again.json()["detail"]


def test_two_who_make_the_same_base_at_once_make_one(client: httpx.Client) -> None:
    def make(_: int) -> int:
        return client.post("/api/knowledge", json={"name": "race"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(make, range(8))) == [201] + [409] * 7


@pytest.mark.parametrize("name", ["../up", "a/b", "a\\b", ".hidden", "a--b", "", "x" * 65, "a:b"])
def test_a_name_is_one_plain_part_of_a_path(client: httpx.Client, home: Path, name: str) -> None:
    answer = client.post("/api/knowledge", json={"name": name})
    assert answer.status_code == 422, answer.text
    assert not (home / "up").exists()


def test_a_search_says_why_each_passage_was_found(client: httpx.Client) -> None:
    added(client, "handbook", ("leave.md", LEAVE), ("pay.md", b"# Pay\n\nPaid on the 25th.\n"))
    found = client.post("/api/knowledge/handbook/search", json={"query": "days of leave", "k": 3})
    assert found.status_code == 200
    first = found.json()["found"][0]
    assert first["passage"]["source"] == "leave.md"
    assert first["lexical"]["rank"] == 1
    assert set(first["lexical"]["terms"]) >= {"leav", "day"}
    assert first["dense"] is None  # no embedder is installed here
    assert found.json()["language"] == "en"
    passage = first["passage"]
    text = client.get(
        f"/api/knowledge/handbook/documents/{passage['document_id']}/text",
        params={"start": passage["start"], "end": passage["end"]},
    ).json()
    assert text["text"] == passage["text"]


@pytest.mark.model
def test_with_an_embedder_meaning_has_its_rank(
    home: Path, embedder_files: Path, models_folder: Path
) -> None:
    from tests.scripted import ScriptedChat
    from tests.server.live import serving

    home.mkdir(exist_ok=True)
    (home / "models").symlink_to(models_folder)
    with serving(model=ScriptedChat()) as live, live.client() as client:
        added(client, "handbook", ("leave.md", LEAVE))
        asked = {"query": "How much holiday do staff get?"}
        found = client.post("/api/knowledge/handbook/search", json=asked).json()
        assert found["dense_weight"] > 0
        assert found["found"][0]["dense"]["rank"] == 1
        described = client.get("/api/knowledge/handbook").json()
        assert described["waiting"] == 0
        assert described["embedder"]


def test_only_what_is_shared_is_seen_by_others(people: dict[str, httpx.Client]) -> None:
    ann, ben = people["ann"], people["ben"]
    added(ann, "recipes", ("soup.md", b"# Soup\n\nLeek and potato.\n"))
    for path in ("ann:recipes", "ann%2Frecipes", "recipes"):
        assert ben.get(f"/api/knowledge/{path}").status_code == 404
        assert ben.get(f"/api/knowledge/{path}/documents").status_code == 404
        search = ben.post(f"/api/knowledge/{path}/search", json={"query": "soup"})
        assert search.status_code == 404
    assert ben.get("/api/knowledge").json()["knowledge"] == []

    assert ann.patch("/api/knowledge/recipes", json={"shared": True}).json()["shared"] is True
    [seen] = ben.get("/api/knowledge").json()["knowledge"]
    assert (seen["id"], seen["name"], seen["writable"]) == ("ann:recipes", "ann/recipes", False)
    for path in ("ann:recipes", "ann%2Frecipes"):
        assert ben.get(f"/api/knowledge/{path}").json()["documents"] == 1
        found = ben.post(f"/api/knowledge/{path}/search", json={"query": "soup"}).json()
        assert len(found["found"]) == 1
        assert ben.delete(f"/api/knowledge/{path}").status_code == 404
        assert ben.patch(f"/api/knowledge/{path}", json={"shared": False}).status_code == 404
        assert ben.delete(f"/api/knowledge/{path}/documents/1").status_code == 404

    ann.patch("/api/knowledge/recipes", json={"shared": False})
    assert ben.get("/api/knowledge/ann:recipes").status_code == 404


def test_a_reader_looks_and_changes_nothing(people: dict[str, httpx.Client]) -> None:
    carl = people["carl"]
    assert carl.get("/api/knowledge").status_code == 200
    assert carl.post("/api/knowledge", json={"name": "mine"}).status_code == 403


def test_a_base_that_is_deleted_while_it_is_read_is_not_there(live: Live) -> None:
    with live.client() as client:
        added(client, "handbook", ("leave.md", LEAVE))

        def search(_: int) -> int:
            return client.post(
                "/api/knowledge/handbook/search", json={"query": "leave"}
            ).status_code

        with ThreadPoolExecutor(6) as pool:
            searches = [pool.submit(search, n) for n in range(60)]
            searches[5].result()
            assert client.delete("/api/knowledge/handbook").status_code == 204
            assert {each.result() for each in searches} == {200, 404}


def test_a_damaged_base_is_told_without_a_path(client: httpx.Client, home: Path) -> None:
    folder = home / "knowledge" / "broken"
    folder.mkdir(parents=True)
    (folder / "knowledge.sqlite").write_bytes(b"this is no database" * 100)
    [base] = client.get("/api/knowledge").json()["knowledge"]
    assert base["error"]
    answer = client.get("/api/knowledge/broken/documents")
    assert answer.status_code == 422
    assert str(home) not in answer.text + base["error"]
