"""A server that takes what LangSmith's client sends, and throws it away.

python -m bench.traces.sink        prints its port, serves until it is killed
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INFO = (
    b'{"version":"0.10","batch_ingest_config":{"use_multipart_endpoint":true,'
    b'"size_limit":100,"size_limit_bytes":20971520,"scale_up_qsize_trigger":1000,'
    b'"scale_up_nthreads_limit":16,"scale_down_nempty_trigger":4},'
    b'"instance_flags":{"zstd_compression_enabled":true}}'
)


class Sink(BaseHTTPRequestHandler):
    """Answers as LangSmith does and keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, INFO)

    def do_POST(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("content-length", 0)))
        self._answer(202, b"{}")

    do_PATCH = do_POST

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running() -> Iterator[str]:
    """Run the sink in a process of its own; give its address."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.traces.sink"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{child.stdout.readline().strip()}"
    finally:
        child.kill()
        child.communicate()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_port, flush=True)
    server.serve_forever()
