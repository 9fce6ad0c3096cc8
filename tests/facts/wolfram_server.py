"""A server on this machine that speaks WolframAlpha's two APIs, and their ways to fail."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

XML = "text/xml; charset=utf-8"
APP_ID = "SECRET-APPID"


def pods(*told: tuple[str, str], success: bool = True, extra: str = "") -> str:
    """Write a result as the full API does."""
    body = "".join(
        f"<pod title='{title}' scanner='Data' id='{title}' position='100' error='false' "
        f"numsubpods='1' {'primary=' + chr(39) + 'true' + chr(39) if title == 'Result' else ''}>"
        f"<subpod title=''><plaintext>{text}</plaintext></subpod></pod>"
        for title, text in told
    )
    return (
        f"<?xml version='1.0' encoding='UTF-8'?>"
        f"<queryresult success='{str(success).lower()}' error='false' numpods='{len(told)}'>"
        f"{extra}{body}</queryresult>"
    )


ASSUMPTIONS = (
    "<assumptions count='2'><assumption type='Clash' word='pi' template='Assuming ${desc1}. Use'>"
    "<value name='a' desc='a constant' input='x'/></assumption><assumption type='Unit' word='m'>"
    "<value name='b' desc='metres' input='y'/></assumption></assumptions>"
)
TOWER = pods(("Input interpretation", "Eiffel Tower | height"), ("Result", "330 meters"))
# What is asked decides what is answered: (status, content type, body).
FULL: dict[str, tuple[int, str, str]] = {
    "height of the eiffel tower": (200, XML, TOWER),
    "assumptions": (200, XML, pods(("Result", "3.14159"), extra=ASSUMPTIONS)),
    "did you mean": (
        200,
        XML,
        pods(
            success=False,
            extra="<didyoumeans count='1'><didyoumean score='0.5'>x</didyoumean></didyoumeans>",
        ),
    ),
    "pod error": (
        200,
        XML,
        "<?xml version='1.0'?><queryresult success='true' error='false' numpods='1'><pod title='x'>"
        "<error><code>1</code><msg>An internal error</msg></error></pod></queryresult>",
    ),
    "no text": (
        200,
        XML,
        "<?xml version='1.0'?><queryresult success='true' error='false' numpods='1'><pod title='P' "
        "numsubpods='1'><subpod title=''><plaintext/></subpod></pod></queryresult>",
    ),
    "bad id": (
        200,
        XML,
        "<?xml version='1.0'?><queryresult success='false' error='true'><error><code>1</code>"
        f"<msg>Invalid appid {APP_ID}</msg></error></queryresult>",
    ),
    "403": (403, "text/html", "<html>Forbidden</html>"),
    "501": (501, "text/plain", "Wolfram|Alpha did not understand"),
    "html": (200, "text/html", "<html><body>Proxy login</body></html>"),
    "no xml": (200, XML, "this is no XML"),
    "empty": (200, XML, ""),
    "nothing": (200, XML, pods(success=False)),
}
SHORT: dict[str, tuple[int, str, str]] = {
    "nothing": (200, "text/plain;charset=utf-8", "Query: nothing\nResult: forty-two"),
    "did you mean": (501, "text/plain", "not understood"),
    "no text": (200, "text/html", "<html></html>"),
}


class Wolfram(http.server.BaseHTTPRequestHandler):
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)["input"][0]
        self.server.asked.append((parts.path, query))  # type: ignore[attr-defined]
        if query == "hang":
            time.sleep(2)
        table = SHORT if parts.path.endswith("llm-api") else FULL
        status, kind, body = table.get(query.lower(), (501, "text/plain", "not understood"))
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())
        except BrokenPipeError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Run the server; gives its address and the list of what it is asked."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Wolfram) as server:
        server.daemon_threads = True
        server.block_on_close = False
        server.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v2/query", server.asked  # type: ignore[attr-defined]
        server.shutdown()
