"""OpenTelemetry's own exporter over HTTP, held to what it is told here.

The exporter and the library under it also read the environment: OTEL_ variables add headers
and certificates, others name proxies, and a file in the home folder passwords. What is sent
is therefore written anew at the last moment before the wire: to this address, with these
headers, past no proxy, and following no redirection. Needs the extra `otlp`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from requests.structures import CaseInsensitiveDict

from groundling import egress
from groundling.errors import TraceError

_BODY = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
_MAX_REASON = 300  # characters


@dataclass(frozen=True)
class Delivery:
    """What became of one batch.

    Args:
        accepted: spans that the collector took.
        rejected: spans that it did not take, out of a batch that it took.
        reason: why not all of them; None if all.
        status: the HTTP status; None where there was no answer.
    """

    accepted: int
    rejected: int = 0
    reason: str | None = None
    status: int | None = None


class Wire(requests.Session):
    """A session that sends nothing but what it was made for.

    Args:
        address: the one that it sends to.
        headers: those that it sends, beside the ones that describe the body.
    """

    def __init__(self, address: str, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.trust_env = False
        self.address = requests.Request("POST", address).prepare().url
        self.own = dict(headers)
        self.host = urlsplit(address).hostname or ""
        self.reached = False
        self.forget()

    def forget(self) -> None:
        """Let go of the last answer."""
        self.answer: requests.Response | None = None
        self.failure: requests.RequestException | None = None

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request, after everything that the environment added was taken off it."""
        assert request.url == self.address
        length = {"Content-Length": request.headers.get("Content-Length", "0")}
        about = {"User-Agent": "groundling", "Accept": "*/*", **_BODY, **length}
        request.headers = CaseInsensitiveDict({**about, **self.own})
        only: dict[str, Any] = {"verify": True, "cert": None, "proxies": {}}
        egress.announce(self.host, "otlp", len(request.body or b""))  # type: ignore[arg-type]
        self.forget()
        try:
            self.answer = super().send(request, **{**kwargs, **only, "allow_redirects": False})
        except requests.RequestException as error:
            self.failure = error
            if self.reached:
                raise
            # The exporter tries again what is a `ConnectionError`; nobody ever answered here.
            raise requests.RequestException(str(error)) from error
        self.reached = True
        return self.answer


class Sender:
    """Sends batches of spans to a collector.

    Args:
        address: where it takes traces, path and all.
        headers: to be sent, too, such as a key.
        timeout: seconds for one batch, attempts included.

    Raises:
        TraceError: the exporter cannot be set up.
    """

    def __init__(self, address: str, headers: Mapping[str, str], timeout: float) -> None:
        self._wire = Wire(address, headers)
        try:
            self._exporter = OTLPSpanExporter(
                endpoint=address,
                headers=dict(headers),
                timeout=timeout,
                compression=Compression.Gzip,
                session=self._wire,
            )
        except Exception as error:
            raise TraceError(f"OpenTelemetry's exporter cannot be set up: {error}") from error

    def send(self, spans: Sequence[ReadableSpan]) -> Delivery:
        """Send a batch; what goes wrong is in the answer."""
        self._wire.forget()
        with _unlogged():
            try:
                result = self._exporter.export(spans)
            except requests.RequestException:  # older exporters let it through
                result = SpanExportResult.FAILURE
        return self._delivery(result, len(spans))

    def close(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _delivery(self, result: SpanExportResult, sent: int) -> Delivery:
        answer, failure = self._wire.answer, self._wire.failure
        if answer is None:
            return Delivery(0, reason=_reason(failure) if failure else "it could not be written")
        status = answer.status_code
        if result is not SpanExportResult.SUCCESS or not 200 <= status < 300:
            said = answer.text.strip()[:_MAX_REASON] or answer.reason
            return Delivery(0, reason=f"HTTP {status}: {said}", status=status)
        return _partly(answer, sent)


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep the exporter from logging, in this thread, what is told as a `Delivery` anyway."""
    logger, thread = logging.getLogger(OTLPSpanExporter.__module__), threading.get_ident()

    def others(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(others)
    try:
        yield
    finally:
        logger.removeFilter(others)


def _partly(answer: requests.Response, sent: int) -> Delivery:
    """Read out of an answer whether the collector took all of it."""
    try:
        told = ExportTraceServiceResponse.FromString(answer.content).partial_success
    except DecodeError:  # JSON, or nothing in particular: it took the batch
        return Delivery(sent, status=answer.status_code)
    rejected = min(max(0, told.rejected_spans), sent)
    return Delivery(
        sent - rejected, rejected, told.error_message[:_MAX_REASON] or None, answer.status_code
    )


def _reason(failure: Exception) -> str:
    """Say in words why nobody answered: requests' own text is a chain of objects."""
    if isinstance(failure, requests.exceptions.SSLError):
        return "its certificate is not to be trusted"
    if isinstance(failure, requests.Timeout):
        return "it did not answer in time"
    if isinstance(failure, requests.ConnectionError):
        return "nobody answers there"
    return f"{type(failure).__name__}: {failure}"[:_MAX_REASON]
