"""What the server counts, and `/metrics`, which tells it in Prometheus' text format.

Every name begins with `groundling_`; seconds, bytes and tokens are plain units, as Prometheus'
naming rules want them (https://prometheus.io/docs/practices/naming/). Labels come from short,
fixed lists, so that no caller can make the number of series grow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MANY = 64  # different graphs, verdicts or rails; further ones are counted as "other"
_REQUEST = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120, 600)
_TOKEN = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SPEED = (1, 2, 5, 10, 20, 50, 100, 200, 500)
Number = Callable[[], int]


class Metrics:
    """Counters, gauges and histograms of one server; safe for threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        r = self.registry
        self._info = Gauge("groundling_info", "The version that runs.", ["version"], registry=r)
        self._info.labels(version("groundling")).set(1)
        self._requests = Counter(
            "groundling_http_requests", "Answered.", ["interface", "method", "status"], registry=r
        )
        self._request_seconds = Histogram(
            "groundling_http_request_seconds",
            "Until the last byte of the answer.",
            ["interface"],
            buckets=_REQUEST,
            registry=r,
        )
        self._running = Gauge("groundling_runs_running", "Of graphs.", ["graph"], registry=r)
        self._runs = Counter("groundling_runs", "Ended.", ["graph", "status"], registry=r)
        self._run_seconds = Histogram(
            "groundling_run_seconds", "From start to end.", ["graph"], buckets=_TOKEN, registry=r
        )
        self._first_token = Histogram(
            "groundling_first_token_seconds",
            "From the request to the first piece of text.",
            ["graph"],
            buckets=_TOKEN,
            registry=r,
        )
        self._tokens = Counter(
            "groundling_tokens",
            "Of prompts, of those known already, written.",
            ["kind"],
            registry=r,
        )
        self._generating = Counter(
            "groundling_generation_seconds", "Spent writing, all calls together.", registry=r
        )
        self._speed = Histogram(
            "groundling_tokens_per_second", "Of one call.", buckets=_SPEED, registry=r
        )
        self._verdicts = Counter(
            "groundling_verdicts", "On answers.", ["graph", "verdict"], registry=r
        )
        self._guards = Counter(
            "groundling_guard_decisions", "Of the guard.", ["rail", "outcome"], registry=r
        )
        self._prompt = self._cached = 0
        ratio = Gauge(
            "groundling_prompt_cache_ratio", "Tokens of prompts that were known.", registry=r
        )
        ratio.set_function(lambda: self._cached / self._prompt if self._prompt else 0.0)
        self._watched: dict[str, Number] = {}
        for watched, name, help_ in (
            ("waiting", "groundling_queue_waiting", "Runs that wait for their place."),
            ("running", "groundling_queue_running", "Runs that have a place."),
            ("streams", "groundling_streams_open", "Event streams that somebody reads."),
        ):
            Gauge(name, help_, registry=r).set_function(partial(self._look, watched))
        self._known: dict[str, set[str]] = {}
        r.register(Engines())

    def response(self, request: Request) -> Response:
        """Answer `/metrics` in the newest form that the caller accepts."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.registry), headers={"Content-Type": content_type})

    def request(self, interface: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        interface = self._one("interface", interface)
        method = method if method in _METHODS else "OTHER"
        self._requests.labels(interface, method, str(status)).inc()
        self._request_seconds.labels(interface).observe(seconds)

    def run_began(self, graph: str) -> None:
        """Count a run that has its place."""
        self._running.labels(self._one("graph", graph)).inc()

    def run_ended(self, graph: str, status: str, seconds: float) -> None:
        """Count the end of a run that `run_began` counted."""
        graph = self._one("graph", graph)
        self._running.labels(graph).dec()
        self._runs.labels(graph, self._one("status", status)).inc()
        self._run_seconds.labels(graph).observe(seconds)

    def first_token(self, graph: str, seconds: float) -> None:
        """Note how long a reader waited for the first piece of text."""
        self._first_token.labels(self._one("graph", graph)).observe(seconds)

    def tokens(self, given: int, written: int, cached: int, seconds: float) -> None:
        """Count what a call of the model read and wrote.

        Args:
            given: tokens of the prompt.
            written: tokens of the answer.
            cached: those of the prompt that were not read again.
            seconds: from the first written token to the last.
        """
        self._prompt += given
        self._cached += cached
        for kind, number in (("prompt", given), ("cached", cached), ("written", written)):
            self._tokens.labels(kind).inc(number)
        self._generating.inc(seconds)
        if written > 1 and seconds > 0:
            self._speed.observe(written / seconds)

    def verdict(self, graph: str, verdict: str) -> None:
        """Count what became of an answer: answered, refused, blocked, unproved."""
        self._verdicts.labels(self._one("graph", graph), self._one("verdict", verdict)).inc()

    def guard(self, rail: str, outcome: str) -> None:
        """Count a decision of the guard."""
        self._guards.labels(self._one("rail", rail), self._one("outcome", outcome)).inc()

    def watch(self, waiting: Number, running: Number, streams: Number) -> None:
        """Show numbers that others keep, read when somebody asks; a second call replaces them.

        Args:
            waiting: runs that wait for their place.
            running: runs that have one.
            streams: event streams that somebody reads.
        """
        self._watched = {"waiting": waiting, "running": running, "streams": streams}

    def _look(self, name: str) -> float:
        watched = self._watched.get(name)
        return float(watched()) if watched is not None else 0.0

    def _one(self, kind: str, name: str) -> str:
        """Return a label's value, or "other" where there are too many of its kind."""
        known = self._known.setdefault(kind, set())
        if name not in known:
            if len(known) >= _MANY:
                return "other"
            known.add(name)
        return name


class Engines(Collector):
    """The totals of the engines in this process, read when somebody asks.

    An engine that runs in a process of its own keeps its totals there; its tokens are counted
    all the same, see `Metrics.tokens`.
    """

    def collect(self) -> Iterable[Metric]:
        """Give one sample for each loaded model."""
        passes = CounterMetricFamily(
            "groundling_engine_passes", "Forward passes.", labels=["model"]
        )
        read = CounterMetricFamily("groundling_engine_read_tokens", "Read.", labels=["model"])
        reused = CounterMetricFamily(
            "groundling_engine_reused_tokens", "Of prompts, known already.", labels=["model"]
        )
        totals: dict[str, list[int]] = {}
        engines = sys.modules.get("groundling.models.engines")  # who loads no model pays nothing
        for engine in engines.shared() if engines else []:
            if (done := getattr(engine, "totals", None)) is not None:
                sums = totals.setdefault(engine.path.stem, [0, 0, 0])
                for n, number in enumerate((done.passes, done.read, done.reused)):
                    sums[n] += number
        for model, sums in totals.items():
            for family, number in zip((passes, read, reused), sums, strict=True):
                family.add_metric([model], number)
        return passes, read, reused
