"""What one person has of everything, made through the interfaces as their clients do.

`MARK` is in all of it, so that an answer that shows any of it can be told.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from langchain_core.messages import AIMessage, BaseMessage

from groundling.evaluation.experiments import ExperimentBook
from tests.scripted import ScriptedChat
from tests.server.live import Live

MARK = "xylophonequartz"
MODES = ["values", "updates", "messages"]
Json = dict[str, Any]


class Talkative(ScriptedChat):
    """A model that answers each question with the word in it that is kept secret, if it has it."""

    def _next(self, messages: Sequence[BaseMessage]) -> AIMessage:
        said = " ".join(message.text for message in messages)
        return AIMessage(f"You said {MARK}." if MARK in said else "Nothing was said.")


@dataclass
class Belongings:
    """The ids of one person's things, by the names that routes have for them in their paths."""

    user: str
    thread: str = ""
    run: str = ""
    checkpoint: str = ""
    assistant: str = ""
    base: str = ""
    document: int = 0
    job: str = ""
    memory: int = 0
    trace: str = ""
    feedback: str = ""
    response: str = ""
    dataset: str = ""
    experiment: str = ""
    key: str = ""
    words: set[str] = field(default_factory=set)

    def ids(self) -> set[str]:
        """Return what must not be seen in any answer to another."""
        long = (self.thread, self.run, self.checkpoint, self.assistant, self.job, self.feedback,
                self.response, self.dataset, self.experiment, self.trace)  # fmt: skip
        return {MARK, *(id for id in long if id)}


def ok(answer: httpx.Response) -> Any:
    """Return what a successful answer holds."""
    assert answer.status_code < 300, (answer.request.url, answer.status_code, answer.text)
    return answer.json() if answer.content else None


def make(live: Live, client: httpx.Client, user: str) -> Belongings:
    """Make one of everything for the person whose client it is."""
    mine = Belongings(user)
    asked = {"messages": [{"role": "user", "content": f"Remember {MARK}, please."}]}

    mine.assistant = ok(
        client.post(
            "/assistants",
            json={"graph_id": "ask", "name": f"{MARK} helper", "metadata": {"note": MARK}},
        )
    )["assistant_id"]
    mine.thread = ok(client.post("/threads", json={"metadata": {"title": MARK}}))["thread_id"]
    ok(
        client.post(
            f"/threads/{mine.thread}/runs/wait",
            json={"assistant_id": mine.assistant, "input": asked},
        )
    )
    state = ok(client.get(f"/threads/{mine.thread}/state"))
    assert MARK in str(state["values"]), state
    mine.checkpoint = state["checkpoint"]["checkpoint_id"]
    mine.run = ok(client.get(f"/threads/{mine.thread}/runs"))[0]["run_id"]

    item = {"namespace": [user, "notes"], "key": "one", "value": {"text": MARK}}
    ok(client.put("/store/items", json=item))
    mine.memory = ok(client.post("/api/memories", json={"text": f"plays the {MARK}"}))["id"]

    mine.base = ok(client.post("/api/knowledge", json={"name": "secrets"}))["id"]
    files = {"files": ("note.md", f"# Note\n\nThe password is {MARK}.\n".encode())}
    job = ok(client.post(f"/api/knowledge/{mine.base}/documents", files=files))
    mine.job = job["id"]
    while (job := ok(client.get(f"/api/jobs/{mine.job}")))["state"] == "running":
        time.sleep(0.05)
    assert job["state"] == "done", job
    listed = ok(client.get(f"/api/knowledge/{mine.base}/documents"))["documents"]
    mine.document = listed[0]["id"]

    mine.trace = _trace(client)
    given = {"score": 1, "comment": f"good {MARK}"}
    mine.feedback = ok(client.post(f"/api/traces/{mine.trace}/feedback", json=given))["id"]
    said = {"model": "ask", "input": f"Say {MARK}."}
    mine.response = ok(client.post("/v1/responses", json=said))["id"]

    store = live.services.datasets
    dataset = store.create(f"{MARK} set")
    live.app.people.owners.claim("dataset", str(dataset.id), user)
    mine.dataset = str(dataset.id)
    book = ExperimentBook(live.services.traces)
    mine.experiment = str(book.create(f"{MARK} run", dataset.id, {"note": MARK}).id)
    mine.key = ok(client.get(f"/api/users/{user}/keys"))["keys"][0]["id"]
    return mine


def _trace(client: httpx.Client) -> str:
    """Return the trace of the run, once it is stored."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if traces := ok(client.get("/api/traces"))["traces"]:
            return str(traces[-1]["trace"])
        time.sleep(0.1)
    raise AssertionError("the run has left no trace")
