"""What docs/remote.md shows, run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "remote.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.model
def test_the_script_runs(llama_server: str, capsys: pytest.CaptureFixture[str]) -> None:
    [block] = BLOCKS
    named = block.replace("http://127.0.0.1:8080/v1", llama_server)
    assert named != block
    exec(compile(named, "remote.md", "exec"), {})
    out = capsys.readouterr().out
    assert re.search(r"^(19|20)\d\d$", out, re.MULTILINE)
    assert "choose='exact'" in out
