"""`langgraph dev` beside which our answers are held, and with our own graphs in it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import get_sync_client

from tests.server.langgraph import probe
from tests.server.langgraph.compare import differences
from tests.server.langgraph.contract import recorded

ROOT = Path(__file__).parents[3]
_BESIDE = Path(sys.executable).with_name("langgraph")
COMMAND = os.environ.get("GROUNDLING_TEST_LANGGRAPH") or (
    str(_BESIDE) if _BESIDE.exists() else None
)
pytestmark = pytest.mark.skipif(
    COMMAND is None,
    reason="langgraph-cli is not installed: uv sync --group reference, "
    "or GROUNDLING_TEST_LANGGRAPH=…/bin/langgraph",
)
_START_SECONDS = 90


@contextmanager
def langgraph_dev(config: Path, **environment: str) -> Iterator[str]:
    """Run `langgraph dev` on a free port; it keeps its files beside the configuration."""
    assert COMMAND is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = config.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, "dev", "--config", str(config), "--no-browser", "--no-reload",
             "--allow-blocking", "--host", "127.0.0.1", "--port", str(port)],
            cwd=config.parent, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false",
                 "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(_START_SECONDS * 4):
                assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
                try:
                    if httpx.get(f"{url}/ok", trust_env=False).status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.25)
            else:
                pytest.fail(log.read_text(encoding="utf-8", errors="replace")[-3000:])
            yield url
        finally:
            process.terminate()
            process.wait(30)


async def test_the_reference_still_answers_as_it_was_written_down(tmp_path: Path):
    shutil.copy(str(probe.__file__), tmp_path / "graphs.py")
    config = tmp_path / "langgraph.json"
    config.write_text('{"dependencies": ["."], "graphs": {"probe": "./graphs.py:graph"}}')
    with langgraph_dev(config) as url:
        found = differences(
            await recorded(url),
            json.loads(Path(__file__).with_name("reference.json").read_text(encoding="utf-8")),
        )
    assert [str(each) for each in found] == []


@pytest.mark.model
def test_our_own_graphs_run_in_it_with_our_model(tmp_path: Path, home_with_models: Path):
    if Path(str(COMMAND)) != _BESIDE:
        pytest.skip("the langgraph of another environment does not know groundling")
    ours = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({**ours, "dependencies": [str(ROOT)]}))
    settings = {
        "GROUNDLING_HOME": str(home_with_models),
        "GROUNDLING_MODEL__NAME": "smollm2-135m",
        "GROUNDLING_MODEL__MEASURE": "false",
    }
    with (
        langgraph_dev(config, **settings) as url,
        get_sync_client(url=url, api_key=None) as sdk,
    ):
        found = sdk.assistants.search(limit=100)
        assert {each["graph_id"] for each in found} == set(ours["graphs"])
        for each in found:
            assert sdk.assistants.get_graph(each["assistant_id"])["nodes"]
        said = sdk.runs.wait(None, "ask", input={"question": "What is the capital of France?"})
        assert isinstance(said, dict)
        assert said["answer"].strip()
