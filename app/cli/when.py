"""Points in time as people write them on a command line."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

import click

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")
_LONGEST = 1e12  # seconds: longer ago is as good as always
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def when(value: str | int) -> int:
    """Read a point in time; return microseconds since 1970.

    That is so long ago (`90m`, `24h`, `7d`), a day or a moment of this machine's clock
    (`2026-11-01T14:30`), `today` or `yesterday`.

    Raises:
        click.BadParameter: it is none of these.
    """
    if isinstance(value, int):
        return value
    text = value.strip().lower()
    if match := _AGO.fullmatch(text):
        ago = min(float(match[1]) * _SECONDS[match[2]], _LONGEST)
        return time.time_ns() // 1000 - int(ago * 1e6)
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"today": today, "yesterday": today - timedelta(days=1)}
    try:
        found = days.get(text) or datetime.fromisoformat(text.upper())
        return int(found.timestamp() * 1e6)
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f"{value!r} is no time; write 90m, 24h, 7d, today, 2026-11-01 or 2026-11-01T14:30."
        ) from None
