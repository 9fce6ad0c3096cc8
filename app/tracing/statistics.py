"""Statistics of runs: how often, how long, how many tokens, by graph and by node.

    for row in statistics(store, since=yesterday):
        print(row.graph, row.node, row.count, row.error_share, row.p95)

A graph's row counts whole traces. The rows of its nodes count what LangGraph ran as a node,
with the tokens of the models that were called inside it. All of it is read from one index
(`migrations.m002_statistics`): a million runs take less than a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from groundling.tracing.migrations import COUNTED
from groundling.tracing.run import Status
from groundling.tracing.store import TraceStore

Times = NDArray[np.float64]

# Inside a graph, what has tokens is a call of a model; what has none is a node.
_CALL = "(run_type = 'llm' OR input_tokens IS NOT NULL)"
_SECONDS = "coalesce(output_tokens / nullif(speed, 0), (duration - first_token) / 1e6)"


def _select(group: str, counted: str, called: str) -> str:
    """Return a query: what is `counted` has a duration, what is `called` writes tokens."""
    wrote = f"FILTER (WHERE {called} AND output_tokens > 1 AND {_SECONDS} > 0)"
    stopped = ", ".join(
        f"count(*) FILTER (WHERE {counted} AND status = '{status}')" for status in Status
    )
    return f"""
        SELECT {group}, count(*) FILTER (WHERE {counted}), {stopped},
            json_group_array(duration) FILTER (WHERE {counted} AND duration IS NOT NULL),
            json_group_array(first_token) FILTER (WHERE first_token IS NOT NULL),
            total(input_tokens), total(output_tokens), total(cached_tokens),
            total(output_tokens) {wrote}, total({_SECONDS}) {wrote}
        FROM runs INDEXED BY runs_statistics WHERE {COUNTED} AND graph IS NOT NULL
    """


_TRACES = _select("graph", "parent IS NULL", "run_type = 'llm'") + "AND parent IS NULL"
_INSIDE = _select("graph, node", f"NOT {_CALL}", _CALL) + "AND parent IS NOT NULL"


@dataclass(frozen=True)
class Statistics:
    """One graph, or one node of it; times in seconds, None where nothing was measured.

    Args:
        node: None in the row of the graph itself.
        count: runs that began.
        p50: half of those that ended took no longer.
        p95: 19 in 20 took no longer.
        total: what all of them took together.
        first_token: median of the time until the first token came.
        speed: tokens a second, while models wrote.
    """

    graph: str
    node: str | None
    count: int
    running: int
    errors: int
    interrupted: int
    cancelled: int
    lost: int
    p50: float | None
    p95: float | None
    total: float
    first_token: float | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    speed: float | None

    @property
    def error_share(self) -> float:
        """Return the share of errors among the runs that are over."""
        over = self.count - self.running
        return self.errors / over if over else 0.0

    @property
    def cached_share(self) -> float:
        """Return the share of input tokens that stood in a model's cache."""
        return self.cached_tokens / self.input_tokens if self.input_tokens else 0.0


def statistics(
    store: TraceStore,
    *,
    since: int | None = None,
    until: int | None = None,
    graph: str | None = None,
    project: str | None = None,
) -> list[Statistics]:
    """Count runs by graph and node: the most used graph first, then its nodes.

    Nodes stand in the order of the time that they took in all.

    Args:
        store: the runs.
        since: only runs that began at or after this, in microseconds since 1970.
        until: only runs that began before this.
        graph: only this one.
        project: only runs of the project of this name.
    """
    wanted: list[tuple[str, Any]] = [
        ("started >= ?", since),
        ("started < ?", until),
        ("graph = ?", graph),
        ("project = (SELECT id FROM projects WHERE name = ?)", project),
    ]
    where = "".join(f" AND {sql}" for sql, value in wanted if value is not None)
    parameters = [value for _, value in wanted if value is not None]

    traces = store.read(f"{_TRACES}{where} GROUP BY graph", parameters)
    inside = store.read(f"{_INSIDE}{where} GROUP BY graph, node", parameters)
    written: dict[str, list[tuple[float, float]]] = {}
    nodes: dict[str, list[Statistics]] = {}
    for name, node, *row in inside:
        written.setdefault(name, []).append((row[-2], row[-1]))
        if node is not None and row[0]:
            nodes.setdefault(name, []).append(_statistics(name, node, row, [(row[-2], row[-1])]))
    graphs = [
        _statistics(name, None, row, [(row[-2], row[-1]), *written.get(name, [])])
        for name, *row in traces
    ]
    graphs.sort(key=lambda each: (-each.count, each.graph))
    for within in nodes.values():
        within.sort(key=lambda each: -each.total)
    return [row for each in graphs for row in (each, *nodes.get(each.graph, []))]


def _statistics(
    graph: str, node: str | None, row: Sequence[Any], written: Sequence[tuple[float, float]]
) -> Statistics:
    count, running, _, errors, interrupted, cancelled, lost, ended, firsts, *tokens = row
    durations, first_tokens = _seconds(ended), _seconds(firsts)
    p50, p95 = _percentiles(durations, 50, 95)
    [first_token] = _percentiles(first_tokens, 50)
    writing = sum(seconds for _, seconds in written)
    return Statistics(
        graph=graph,
        node=node,
        count=count,
        running=running,
        errors=errors,
        interrupted=interrupted,
        cancelled=cancelled,
        lost=lost,
        p50=p50,
        p95=p95,
        total=float(durations.sum()),
        first_token=first_token,
        input_tokens=int(tokens[0]),
        output_tokens=int(tokens[1]),
        cached_tokens=int(tokens[2]),
        speed=sum(tokens for tokens, _ in written) / writing if writing else None,
    )


def _seconds(microseconds: str) -> Times:
    """Read a JSON list."""
    return np.array(orjson.loads(microseconds), dtype=np.float64) / 1e6


def _percentiles(times: Times, *wanted: int) -> list[float | None]:
    if not len(times):
        return [None] * len(wanted)
    return [float(each) for each in np.percentile(times, wanted)]
