"""LangSmith's real client against the whole server: below an address, and with keys."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from langsmith import Client, traceable, tracing_context
from langsmith.utils import LangSmithAuthError, LangSmithError, LangSmithNotFoundError

from groundling.server.person import Role
from tests.scripted import ScriptedChat
from tests.server.live import serving

# The older half of the client warns that it will go; until then people use it.
pytestmark = pytest.mark.filterwarnings(
    "ignore::langsmith._internal._beta_decorator.LangSmithDeprecationWarning",
    "ignore::langsmith.utils.LangSmithWarning",
)


@contextmanager
def client(address: str, key: str) -> Iterator[Client]:
    made = Client(api_url=f"{address}/langsmith", api_key=key)
    try:
        yield made
    finally:
        made.close()
        made.session.close()


@traceable(run_type="chain", name="elsewhere")
def work(question: str) -> dict[str, str]:
    return {"answer": question.upper()}


def test_another_program_is_traced_judged_and_evaluated_through_it(home: Path) -> None:
    with serving(home, ScriptedChat()) as live, client(live.address, "any") as smith:
        run = uuid.uuid4()
        with tracing_context(enabled=True, client=smith, project_name="theirs"):
            work("how?", langsmith_extra={"run_id": run})
        smith.flush()
        assert smith.read_run(run).outputs == {"answer": "HOW?"}
        smith.create_feedback(run, key="thumbs", score=-1, correction={"answer": "So."})
        data = smith.create_dataset("small")
        smith.create_examples(
            dataset_id=data.id,
            examples=[{"inputs": {"question": "a"}, "reference_outputs": {"answer": "A"}}],
        )
        assert [each.inputs for each in smith.list_examples(dataset_id=data.id)] == [
            {"question": "a"}
        ]
        with live.client() as http:
            told = http.get(f"/api/traces/{run}").json()
            names = [each["name"] for each in http.get("/api/datasets").json()["datasets"]]
        assert told["runs"][0]["name"] == "elsewhere"
        assert told["feedback"][0]["correction"] == {"answer": "So."}
        assert "small" in names


@pytest.mark.parametrize("role", [Role.READER, Role.MEMBER])
def test_with_users_it_is_an_admins(home: Path, role: Role) -> None:
    with serving(home, ScriptedChat()) as live:
        keys = {}
        for name, theirs in (("root", Role.ADMIN), ("ann", role)):
            live.app.people.users.add(name, theirs)
            _, keys[name] = live.app.people.keys.add(name)
        with client(live.address, keys["root"]) as smith:
            run = uuid.uuid4()
            smith.create_run("theirs", {"question": "?"}, "chain", id=run)
            smith.flush()
            assert smith.read_run(run).name == "theirs"
        with client(live.address, keys["ann"]) as smith, pytest.raises(LangSmithError):
            smith.read_run(run)
        with client(live.address, "gl_nobody_x") as smith, pytest.raises(LangSmithAuthError):
            smith.read_run(run)
        with client(live.address, keys["root"]) as smith, pytest.raises(LangSmithNotFoundError):
            smith.read_run(uuid.uuid4())
