"""Export to an OpenTelemetry collector, such as Phoenix, Jaeger or Langfuse, over OTLP/HTTP.

    report = export(store, store.find(limit=100), "http://127.0.0.1:4318")
    report.spans, report.failed

Whole traces are sent. A collector on another machine is refused unless the owner has allowed
uploads, and each call to it is announced. Needs the extra `otlp`, which is imported when
something is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from groundling.errors import TraceError
from groundling.settings import LOOPBACK
from groundling.tracing.feedback import FeedbackBook
from groundling.tracing.run import Status, StoredRun
from groundling.tracing.store import TraceStore

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from groundling.tracing.otlp_http import Sender

BATCH = 512  # spans
BATCH_CHARACTERS = 2_000_000  # of their attributes; collectors bound a request's size
TIMEOUT = 10.0  # seconds for one batch
PATH = "/v1/traces"
# The batch is at fault, not the collector: the next one may go through.
_OF_THE_BATCH = frozenset({400, 413, 422})
_PACKAGES = ("opentelemetry", "openinference", "google", "requests")


@dataclass
class Exported:
    """What was sent, and what was not; all counts are of spans, save the first.

    Args:
        traces: that were read.
        spans: that the collector took.
        rejected: that it refused out of batches that it took.
        failed: of batches that did not arrive, and of those that were not tried any more.
        running: that were left out because their runs are not over.
        problems: what went wrong, each reason once.
    """

    traces: int = 0
    spans: int = 0
    rejected: int = 0
    failed: int = 0
    running: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether everything that is over arrived."""
        return not (self.rejected or self.failed)


def export(
    store: TraceStore,
    runs: Iterable[StoredRun],
    endpoint: str,
    headers: Mapping[str, str] | None = None,
    *,
    upload: bool = False,
    timeout: float = TIMEOUT,
) -> Exported:
    """Send the traces of runs to a collector.

    Args:
        store: where the runs are.
        runs: any run stands for its whole trace.
        endpoint: the collector's address, with or without `/v1/traces`.
        headers: to be sent with each batch, such as a key; those of the environment are not.
        upload: whether it may be another machine: `settings.tracing.upload`.
        timeout: seconds for one batch, the attempts after a 503 or 429 included.

    Raises:
        TraceError: the address is none, or another machine's and that is not allowed; the
            extra is not installed.
    """
    address = traces_address(endpoint, upload=upload)
    check_headers(headers or {})
    sender = _sender(address, headers or {}, timeout)
    report = Exported()
    given_up = False
    try:
        for batch in _batches(_spans(store, runs, report)):
            if given_up:
                report.failed += len(batch)
                continue
            sent = sender.send(batch)
            report.spans += sent.accepted
            report.rejected += sent.rejected
            lost = len(batch) - sent.accepted - sent.rejected
            report.failed += lost
            if sent.reason and sent.reason not in report.problems:
                report.problems.append(sent.reason)
            given_up = bool(lost) and sent.status not in _OF_THE_BATCH
    finally:
        sender.close()
    return report


def traces_address(endpoint: str, *, upload: bool = False) -> str:
    """Return the address that takes traces, as the OTLP specification makes it of a base.

    Raises:
        TraceError: it is no address, or another machine's and that is not allowed.
    """
    address = urlsplit(endpoint.strip())
    try:
        host, _ = address.hostname, address.port
    except ValueError:
        host = None
    if address.scheme not in ("http", "https") or not host:
        raise TraceError(
            f"{endpoint} is no address of a collector.",
            hint="It looks like http://127.0.0.1:4318",
        )
    if "@" in address.netloc:
        raise TraceError(
            "The collector's address must not carry a login, which would end up in logs.",
            hint="Give it as a header: --header authorization='Basic …'",
        )
    if host not in LOOPBACK and not upload:
        raise TraceError(
            f"{host} is another machine: your prompts and documents would be sent there.",
            hint="To allow it: groundling config set tracing.upload true",
        )
    path = address.path.rstrip("/")
    path = path if path.endswith(PATH) else path + PATH
    return urlunsplit((address.scheme, address.netloc, path, address.query, ""))


def check_headers(headers: Mapping[str, str]) -> None:
    """Check headers that a person gave.

    Raises:
        TraceError: a name or a value is none that HTTP has.
    """
    for name, value in headers.items():
        fits = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if not fits or not value.isprintable() or not value.isascii():
            raise TraceError(
                f"The header {name!r} cannot be sent.",
                hint="A name of letters, digits and dashes, and a value in ASCII.",
            )


def _sender(address: str, headers: Mapping[str, str], timeout: float) -> Sender:
    try:
        from groundling.tracing.otlp_http import Sender
        from groundling.tracing.spans import spans_of  # noqa: F401  # needs the extra as well
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise TraceError(
            f"Traces cannot be sent: the package {error.name} is not installed.",
            hint="pip install 'groundling[otlp]'",
        ) from error
    return Sender(address, headers, timeout)


def _spans(
    store: TraceStore, runs: Iterable[StoredRun], report: Exported
) -> Iterator[ReadableSpan]:
    from groundling.tracing.spans import spans_of

    book = FeedbackBook(store)
    for trace in dict.fromkeys(run.trace for run in runs):
        found = store.trace(trace)
        said = book.of_traces([trace]).get(trace, [])
        report.traces += 1
        report.running += sum(run.status == Status.RUNNING for run in found)
        yield from spans_of(found, store.payloads(found), said)


def _batches(spans: Iterable[ReadableSpan]) -> Iterator[list[ReadableSpan]]:
    batch: list[ReadableSpan] = []
    size = 0
    for span in spans:
        length = sum(
            len(value) for value in (span.attributes or {}).values() if isinstance(value, str)
        )
        if batch and (len(batch) >= BATCH or size + length > BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(span)
        size += length
    if batch:
        yield batch
