"""What a client is told of a run that failed."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from groundling.errors import GroundlingError
from groundling.server.problems import Problem, told_of

_LOG = logging.getLogger("groundling.server")
_LONGEST = 400  # characters
_PATH = re.compile(r"(?<![\w:/])(?:[A-Za-z]:\\|~?/)(?:[^\s'\"/\\]+[/\\])+[^\s'\",;:)]*")


def failure_of(error: BaseException, home: Path) -> dict[str, Any]:
    """Return the data of the event `error`: the error's class and text, and the next step.

    The text of an error that is not Groundling's own is cut to its first line, and paths of
    this machine are taken out of it.

    Args:
        error: what went wrong.
        home: the home folder; where it lies is told nobody.
    """
    if isinstance(error, (Problem, GroundlingError)):
        told = told_of(error, home)
        name = told.code if told is error else type(error).__name__
        failure: dict[str, Any] = {"error": name, "message": told.message}
        return failure | ({"hint": told.hint} if told.hint else {})
    first = (str(error).strip().splitlines() or [""])[0][:_LONGEST]
    message = _PATH.sub("(a file)", first) or "It failed; the server's log says more."
    return {"error": type(error).__name__, "message": message}


def note_failure(error: BaseException, run_id: str) -> None:
    """Write a failure to the log; of one that was foreseen, a line."""
    if isinstance(error, (Problem, GroundlingError)):
        _LOG.warning("Run %s failed: %s", run_id, type(error).__name__)
    else:
        _LOG.error("Run %s failed.", run_id, exc_info=error)
