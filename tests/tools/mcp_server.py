"""A server of tools for the tests, over stdio; `fail` and `hang` as its argument break it."""

import os
import sys
import time
from pathlib import Path

if "PIDS" in os.environ:
    with Path(os.environ["PIDS"]).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
if "fail" in sys.argv:
    sys.exit("no configuration")
if "hang" in sys.argv:
    time.sleep(60)

from fastmcp import FastMCP

mcp = FastMCP("notes")


@mcp.tool(annotations={"readOnlyHint": True})
def count(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


@mcp.tool
def write(text: str) -> str:
    """Write a note."""
    if text == "die":
        os._exit(1)
    if text == "hang":
        time.sleep(60)
    return f"written: {text}"


@mcp.tool(name="a-b", description="Hid\u200bden.\x1b[31m" + "x" * 5000)
def first() -> str:
    return "first"


@mcp.tool(name="a.b")
def second() -> str:
    return "second"


mcp.run(transport="stdio", show_banner=False)
