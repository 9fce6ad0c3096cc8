"""Chat pages that others have built: LangGraph's `useStream`, in Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from tests.server.langgraph.node_packages import SCRIPT, folder, missing

HELLO = ["human", "hello"]
ANSWER = ["ai", "one two three"]


@pytest.fixture
def shown(url: str) -> dict[str, Any]:
    """What the hook showed of a conversation; see node/use_stream.mjs."""
    if (reason := missing()) is not None:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    script = shutil.copy(SCRIPT, folder())
    done = subprocess.run(
        ["node", str(script), url, "probe"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_use_stream(shown: dict[str, Any]):
    assert shown["errors"] == []
    assert shown["first"] == [HELLO, ANSWER]
    assert shown["thread"] is True
    assert shown["second"] == shown["reopened"] == [HELLO, ANSWER, ["human", "and again"], ANSWER]
    # Edited and sent again: a branch beside the first one, which is still there.
    assert shown["edited"] == [HELLO, ANSWER, ["human", "something else"], ANSWER]
    assert shown["branches"] == 2
    assert shown["otherBranch"] == shown["second"]
    assert shown["regenerated"] == [HELLO, ANSWER]
    assert shown["anotherAnswer"] is True
    assert shown["interrupt"] == shown["interruptReopened"] == {"question": "may I?"}
    assert (shown["resumed"], shown["interruptAfter"]) == ("yes", None)
    assert "it fails as wished" in shown["error"]
    assert shown["afterError"] == ANSWER
    assert shown["stopped"] is True
    assert shown["cameBack"] == [HELLO, ANSWER]
    assert (shown["threads"], shown["assistants"], shown["item"]) == (["idle"], ["probe"], {"n": 1})
