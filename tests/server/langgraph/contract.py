"""What a client of LangGraph's does to a server, and what it is answered, written down.

The same script runs against Groundling and against `langgraph dev`, with the asynchronous
and with the synchronous client. Ids and times are replaced by what they are, so that two
recordings can be compared field by field:

    python -m tests.server.langgraph.contract http://127.0.0.1:2024   # prints a recording

reference.json is such a recording of `langgraph dev`; tests/server/langgraph/test_reference.py
makes it anew where `langgraph dev` is installed, and compares.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
from langgraph_sdk import get_client, get_sync_client

GRAPH = "probe"
NOBODY = "00000000-0000-4000-8000-000000000001"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}
BEGUN_SECONDS = 1.0  # after which `langgraph dev` has begun a run, and none that is slow is over
Recording = dict[str, Any]
_ACTIVE = ("pending", "running")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?")
_HEX = re.compile(r"\b[0-9a-f]{32}\b")
_RUN = re.compile(r"lc_run--<uuid>(-\d+)?")
# What `langgraph dev` notes for its own use, and versions of what is installed.
_PRIVATE = frozenset(
    {
        "__after_seconds__", "__pregel_node_finished", "__request_start_time_ms__", "lc_versions",
        "langgraph_api_url", "langgraph_api_version", "langgraph_auth_permissions",
        "langgraph_auth_user", "langgraph_auth_user_id", "langgraph_host", "langgraph_plan",
        "langgraph_request_id", "langgraph_version", "langsmith_session_name", "ls_integration",
        "run_attempt", "user_id",
    }
)  # fmt: skip


def plain(value: Any) -> Any:
    """Replace what is another each time, and leave out what is nobody's concern.

    Those are ids and times, and whether a run waits or has begun already.
    """
    if isinstance(value, Mapping):
        return {
            plain(key): "<active>" if key == "status" and inner in _ACTIVE else plain(inner)
            for key, inner in value.items()
            if key not in _PRIVATE
        }
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, str):
        value = _HEX.sub("<hex>", _TIME.sub("<time>", _UUID.sub("<uuid>", value)))
        return _RUN.sub("<run>", value)
    return value


class Contract:
    """One pass over a server.

    Args:
        client: LangGraph's, of either kind.
        url: of the server, for what no client sends.
    """

    def __init__(self, client: Any, url: str) -> None:
        self.client = client
        self.url = url
        self.said: Recording = {}

    async def call(self, step: str, function: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """Call a method of the client and write down what came, or which error."""
        try:
            result = function(*args, **kw)
            if hasattr(result, "__aiter__"):
                result = [[part.event, part.data] async for part in result]
            elif inspect.isgenerator(result) or isinstance(result, Iterator):
                result = [[part.event, part.data] for part in result]
            elif inspect.isawaitable(result):
                result = await result
        except httpx.HTTPStatusError as error:
            self.said[step] = {"status": error.response.status_code}
            return None
        except Exception as error:
            status = getattr(error, "status_code", None)
            told = {"status": status} if status else {"raised": f"{error}"}
            self.said[step] = plain(told)
            return None
        self.said[step] = plain(result)
        return result

    async def asked(self, step: str, method: str, path: str, **options: Any) -> None:
        """Send what no client sends, and write down the status and whether JSON tells why."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
            response = await http.request(method, path, **options)
        told = response.headers.get("content-type", "").startswith("application/json")
        detail = "detail" in response.json() if told and response.status_code >= 400 else None
        self.said[step] = {"status": response.status_code, "detail": detail}

    async def run(self) -> Recording:
        """Do all of it."""
        for part in (
            self.assistants, self.threads, self.streams, self.states, self.interrupts,
            self.failures, self.background, self.stateless, self.store, self.wrong,
        ):  # fmt: skip
            await part()
        return self.said

    async def assistants(self) -> None:
        api = self.client.assistants
        [found] = await self.call("assistants search", api.search, graph_id=GRAPH)
        id = found["assistant_id"]
        await self.call("assistants count", api.count, graph_id=GRAPH)
        await self.call("assistants get", api.get, id)
        await self.call("assistants get by name", api.get, GRAPH)
        await self.call("assistants get unknown", api.get, NOBODY)
        await self.call("assistants graph", api.get_graph, GRAPH)
        await self.call("assistants graph x-ray", api.get_graph, id, xray=True)
        schemas = await self.call("assistants schemas", api.get_schemas, id)
        self.said["assistants schemas"] = _properties(schemas)
        inner = await self.call("assistants subgraphs", api.get_subgraphs, id)
        self.said["assistants subgraphs"] = {
            name: _properties(each) for name, each in inner.items()
        }
        await self.call("assistants subgraph unknown", api.get_subgraphs, id, "nowhere")
        made = await self.call(
            "assistants create", api.create, GRAPH, context={"tone": "calm"},
            metadata={"made": "by test"}, name="mine", description="one of mine",
        )  # fmt: skip
        own = made["assistant_id"]
        await self.call("assistants create again", api.create, GRAPH, assistant_id=own)
        await self.call(
            "assistants create or keep", api.create, GRAPH, assistant_id=own, if_exists="do_nothing"
        )
        await self.call("assistants create of nothing", api.create, "no-such-graph")
        await self.call("assistants update", api.update, own, name="renamed", metadata={"more": 1})
        await self.call("assistants versions", api.get_versions, own)
        await self.call("assistants set latest", api.set_latest, own, 1)
        await self.call("assistants set latest unknown", api.set_latest, own, 17)
        await self.call(
            "assistants page", api.search, metadata={"made": "by test"}, limit=1, select=["name"],
            response_format="object",
        )  # fmt: skip
        await self.call("assistants delete", api.delete, own)
        await self.call("assistants delete again", api.delete, own)

    async def threads(self) -> None:
        api = self.client.threads
        made = await self.call("threads create", api.create, metadata={"color": "red", "n": 1})
        id = made["thread_id"]
        await self.call("threads create again", api.create, thread_id=id)
        await self.call("threads create or keep", api.create, thread_id=id, if_exists="do_nothing")
        await self.call("threads get", api.get, id)
        await self.call("threads get unknown", api.get, NOBODY)
        await self.call("threads update", api.update, id, metadata={"n": 2, "shape": "round"})
        await self.call("threads update quietly", api.update, id, metadata={}, return_minimal=True)
        await self.call("threads empty state", api.get_state, id)
        await self.call("threads empty history", api.get_history, id)
        await self.call("threads search", api.search, metadata={"shape": "round"})
        await self.call(
            "threads search chosen", api.search, ids=[id], select=["thread_id", "metadata"]
        )
        await self.call("threads search nothing", api.search, metadata={"shape": "none"})
        await self.call("threads count", api.count, metadata={"shape": "round"}, status="idle")
        await self.call("threads delete", api.delete, id)
        await self.call("threads delete again", api.delete, id)
        first, second = [(await self.client_made())["thread_id"] for _ in range(2)]
        await self.call("threads prune", api.prune, [first, second, NOBODY])

    async def client_made(self) -> Any:
        made = self.client.threads.create()
        return await made if inspect.isawaitable(made) else made

    async def streams(self) -> None:
        runs = self.client.runs
        for mode in (
            "values", "updates", "custom", "messages", "messages-tuple", "tasks", "checkpoints",
            "debug", "events",
        ):  # fmt: skip
            id = (await self.client_made())["thread_id"]
            await self.call(f"stream {mode}", runs.stream, id, GRAPH, input=HELLO, stream_mode=mode)
        id = (await self.client_made())["thread_id"]
        await self.call(
            "stream several", runs.stream, id, GRAPH, input=HELLO,
            stream_mode=["updates", "custom", "messages-tuple"], stream_subgraphs=True,
        )  # fmt: skip
        await self.call(
            "stream resumable", runs.stream, id, GRAPH, input=HELLO, stream_mode="updates",
            stream_resumable=True, metadata={"asked": "by test"}, config={"tags": ["tag"]},
        )  # fmt: skip
        await self.call("stream mode unknown", runs.stream, id, GRAPH, stream_mode="telepathy")
        await self.call("stream assistant unknown", runs.stream, id, "no-such-graph", input=HELLO)
        await self.call("stream thread unknown", runs.stream, NOBODY, GRAPH, input=HELLO)

    async def states(self) -> None:
        threads, runs = self.client.threads, self.client.runs
        id = (await self.client_made())["thread_id"]
        await self.call("wait", runs.wait, id, GRAPH, input=HELLO)
        await self.call("thread after", threads.get, id)
        await self.call("state", threads.get_state, id)
        await self.call("state chosen", threads.get_state, id, select=["next", "values.note"])
        await self.call("state with subgraphs", threads.get_state, id, subgraphs=True)
        await self.call("update state", threads.update_state, id, {"note": "edited"}, as_node="ask")
        state = await self.call("state edited", threads.get_state, id)
        at = state["checkpoint"]
        await self.call("state at", threads.get_state, id, checkpoint=at)
        await self.call("state at id", threads.get_state, id, checkpoint_id=at["checkpoint_id"])
        await self.call("state at unknown", threads.get_state, id, checkpoint_id=NOBODY)
        await self.call("update state of no node", threads.update_state, id, {}, as_node="nobody")
        history = await self.call("history", threads.get_history, id, limit=1)
        await self.call(
            "history before", threads.get_history, id, limit=1, before={"configurable": at}
        )
        await self.call(
            "history by metadata", threads.get_history, id, metadata={"source": "update"}
        )
        await self.call("run from state", runs.wait, id, GRAPH, checkpoint=history[0]["checkpoint"])
        copied = await self.call("threads copy", threads.copy, id)
        await self.call("state of copy", threads.get_state, copied["thread_id"])
        await self.call(
            "threads with states", threads.create, graph_id=GRAPH,
            supersteps=[{"updates": [{"values": {"note": "before"}, "as_node": "ask"}]}],
        )  # fmt: skip

    async def interrupts(self) -> None:
        threads, runs = self.client.threads, self.client.runs
        id = (await self.client_made())["thread_id"]
        asking = {**HELLO, "wish": "ask"}
        await self.call(
            "interrupt stream", runs.stream, id, GRAPH, input=asking,
            stream_mode=["values", "updates"],
        )  # fmt: skip
        await self.call("interrupt state", threads.get_state, id)
        await self.call("interrupt thread", threads.get, id)
        await self.call("interrupt search", threads.search, ids=[id], status="interrupted")
        await self.call("interrupt resume", runs.wait, id, GRAPH, command={"resume": "yes"})
        await self.call("interrupt thread after", threads.get, id)
        await self.call(
            "interrupt before", runs.wait, id, GRAPH, input=HELLO, interrupt_before=["ask"]
        )
        await self.call("interrupt before state", threads.get_state, id)
        await self.call("interrupt go on", runs.wait, id, GRAPH)
        await self.call("interrupt after", runs.wait, id, GRAPH, input=HELLO, interrupt_after="*")
        await self.call(
            "command", runs.wait, id, GRAPH, command={"update": {"note": "told"}, "goto": "deep"}
        )

    async def failures(self) -> None:
        threads, runs = self.client.threads, self.client.runs
        id = (await self.client_made())["thread_id"]
        failing = {**HELLO, "wish": "fail"}
        await self.call("failure stream", runs.stream, id, GRAPH, input=failing)
        await self.call("failure wait", runs.wait, id, GRAPH, input=failing)
        await self.call("failure told", runs.wait, id, GRAPH, input=failing, raise_error=False)
        await self.call("failure thread", threads.get, id)
        await self.call("failure runs", runs.list, id, select=["status"])

    async def background(self) -> None:
        runs = self.client.runs
        id = (await self.client_made())["thread_id"]
        slow = {**HELLO, "wish": "slow"}
        run = await self.call("run create", runs.create, id, GRAPH, input=slow, metadata={"m": 1})
        await self.call(
            "run rejected", runs.wait, id, GRAPH, input=HELLO, multitask_strategy="reject"
        )
        queued = await self.call(
            "run queued", runs.create, id, GRAPH, input={**HELLO, "wish": "none"}
        )
        await self.call("run join", runs.join, id, run["run_id"])
        await self.call("run get", runs.get, id, run["run_id"])
        await self.call("run cancel over", runs.cancel, id, run["run_id"])
        await self.call("run join queued", runs.join, id, queued["run_id"])
        await self.call("run list", runs.list, id)
        await self.call("run list by status", runs.list, id, status="success", limit=1)
        run = await self.call("run to cancel", runs.create, id, GRAPH, input=slow)
        await asyncio.sleep(BEGUN_SECONDS)
        await self.call("run cancel", runs.cancel, id, run["run_id"], wait=True)
        cancelled = await self.call("run cancelled", runs.get, id, run["run_id"])
        assert cancelled["status"] == "interrupted"
        self.said["run cancel"] = "done"  # what is answered depends on when it came
        run = await self.call("run to roll back", runs.create, id, GRAPH, input=slow)
        await asyncio.sleep(BEGUN_SECONDS)
        await self.call(
            "run roll back", runs.cancel, id, run["run_id"], wait=True, action="rollback"
        )
        self.said["run roll back"] = "done"
        await self.call("run get unknown", runs.get, id, NOBODY)
        id = (await self.client_made())["thread_id"]
        run = await self.call("run to stream", runs.create, id, GRAPH, input=slow)
        await self.call("run join stream", runs.join_stream, id, run["run_id"])
        await self.call("run delete", runs.delete, id, run["run_id"])
        await self.call("run delete again", runs.delete, id, run["run_id"])
        await self.call("run cancel many of none", runs.cancel_many, status="all")

    async def stateless(self) -> None:
        runs = self.client.runs
        await self.call("stateless wait", runs.wait, None, GRAPH, input=HELLO)
        await self.call(
            "stateless stream", runs.stream, None, GRAPH, input=HELLO, stream_mode="updates"
        )
        await self.call("stateless create", runs.create, None, GRAPH, input=HELLO)
        await self.call(
            "stateless batch", runs.create_batch, [{"assistant_id": GRAPH, "input": HELLO}] * 2
        )
        await self.call(
            "stateless then kept", runs.wait, str(uuid4()), GRAPH,
            input=HELLO, if_not_exists="create",
        )  # fmt: skip

    async def store(self) -> None:
        store = self.client.store
        await self.call("store put", store.put_item, ["a", "b"], "one", {"n": 1, "text": "cat"})
        await self.call("store put next", store.put_item, ["a", "c"], "two", {"n": 2})
        await self.call("store put near", store.put_item, ["ab"], "three", {"n": 3})
        await self.call("store get", store.get_item, ["a", "b"], "one")
        await self.call("store get none", store.get_item, ["a", "b"], "none")
        await self.call("store search", store.search_items, ["a", "b"])
        await self.call("store search by value", store.search_items, ["a"], filter={"n": 2})
        await self.call("store search more", store.search_items, [], filter={"n": {"$gt": 2}})
        await self.call("store namespaces", store.list_namespaces)
        await self.call("store namespaces below", store.list_namespaces, prefix=["a"])
        await self.call("store namespaces above", store.list_namespaces, max_depth=1)
        await self.call("store namespaces ending", store.list_namespaces, suffix=["c"])
        await self.call("store delete", store.delete_item, ["a", "b"], "one")
        await self.call("store delete again", store.delete_item, ["a", "b"], "one")
        await self.call("store put reserved", store.put_item, ["langgraph"], "k", {})

    async def wrong(self) -> None:
        id = (await self.client_made())["thread_id"]
        runs, json_ = f"/threads/{id}/runs", {"content-type": "application/json"}
        await self.asked("wrong json", "POST", f"{runs}/wait", content=b"{", headers=json_)
        await self.asked("wrong nothing", "POST", f"{runs}/wait", json={})
        await self.asked("wrong type", "POST", f"{runs}/wait", json={"assistant_id": 3})
        await self.asked(
            "wrong config", "POST", f"{runs}/wait", json={"assistant_id": GRAPH, "config": 3}
        )
        await self.asked("wrong limit", "POST", "/threads/search", json={"limit": -1})
        await self.asked("wrong status", "POST", "/threads/search", json={"status": "asleep"})
        await self.asked("wrong run", "GET", f"{runs}/not-a-run")
        await self.asked("wrong thread", "POST", "/threads", json={"thread_id": "not-a-thread"})
        await self.asked("wrong method", "PUT", "/threads/search", json={})
        item = {"namespace": ["a"], "key": "k", "value": {}}
        await self.asked("wrong value", "PUT", "/store/items", json={**item, "value": 3})
        await self.asked("wrong label", "PUT", "/store/items", json={**item, "namespace": ["a.b"]})


def _properties(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of schemas what a form is made of: LangGraph versions describe messages variously."""
    return {
        name: sorted(schema.get("properties", schema)) if isinstance(schema, dict) else schema
        for name, schema in schemas.items()
    }


def written(recording: Recording) -> str:
    """Write a recording as JSON, one step a line."""
    lines = [f"{json.dumps(step)}: {json.dumps(said)}" for step, said in recording.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


async def recorded(url: str) -> Recording:
    """Write down what the asynchronous client is answered."""
    async with get_client(url=url, api_key=None) as client:
        return await Contract(client, url).run()


def recorded_sync(url: str) -> Recording:
    """Write down what the synchronous client is answered."""
    with get_sync_client(url=url, api_key=None) as client:
        return asyncio.run(Contract(client, url).run())


if __name__ == "__main__":
    print(written(asyncio.run(recorded(sys.argv[1]))))
