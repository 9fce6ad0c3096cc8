"""An OpenTelemetry collector on this machine, and what came to it."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """An OTLP collector on this machine.

    Args:
        answers: statuses to give, in turn; the last one for all that follows.
    """

    def __init__(self, *answers: int | tuple[int, bytes]) -> None:
        self.answers = list(answers) or [200]
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.batches: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                collector.requests.append((self.path, dict(self.headers)))
                more = len(collector.answers) > 1
                answer = collector.answers.pop(0) if more else collector.answers[0]
                status, said = answer if isinstance(answer, tuple) else (answer, b"")
                if status == 200:
                    collector.batches.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", said.decode())
                    said = b""
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def spans(self):
        return [
            span
            for batch in self.batches
            for resource in batch.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def said(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [said(each) for each in value.array_value.values]
    return getattr(value, kind)


def told(thing):
    return {each.key: said(each.value) for each in thing.attributes}
