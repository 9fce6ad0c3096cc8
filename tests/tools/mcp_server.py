"""A server of tools for the tests, over stdio; `fail` and `hang` as its argument break it."""

import sys
import time

from fastmcp import FastMCP

if "fail" in sys.argv:
    sys.exit("no configuration")
if "hang" in sys.argv:
    time.sleep(60)

mcp = FastMCP("notes")


@mcp.tool(annotations={"readOnlyHint": True})
def count(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


@mcp.tool
def write(text: str) -> str:
    """Write a note."""
    if text == "die":
        sys.exit(1)
    return f"written: {text}"


mcp.run(transport="stdio", show_banner=False)
