"""WolframAlpha over the `wolframalpha` package, with what the package leaves to its caller.

Its `aquery` checks no status, asserts one exact content type (so that a proxy's page is a bare
AssertionError), raises for one bad pod and loses all, and has texts that are None. Here each
of these is a `WolframError` in words, or passed over. Where the full API has nothing, the LLM
API is asked: its short texts cover more questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from xml.parsers.expat import ExpatError

import httpx

from groundling.egress import announce
from groundling.errors import FactError

MOST_CHARACTERS = 1_500
PODS = 4


class WolframError(FactError):
    """WolframAlpha could not be asked, or answered with an error."""


class Wolfram:
    """Asks WolframAlpha.

    Args:
        app_id: of one's own, from developer.wolframalpha.com; it stands in no error.
        url: of the full results API.
        timeout: seconds for one answer.
    """

    def __init__(self, app_id: str, url: str, timeout: float) -> None:
        self._app_id = app_id
        self.url = url
        self.timeout = timeout

    async def ask(self, query: str) -> str | None:
        """Return the answer to a query in English, as lines of text; None if it has none.

        Raises:
            WolframError: it could not be asked, or refused; the AppID is not in the message.
        """
        found = await self._full(query)
        return found or await self._short(query)

    async def _full(self, query: str) -> str | None:
        import wolframalpha

        client = wolframalpha.Client(self._app_id, url=self.url, timeout=self.timeout)
        parameters = [("format", "plaintext"), ("units", "metric")]
        announce(self._host, "wolframalpha", len(query.encode()))
        for attempt in (1, 2):
            try:
                async with asyncio.timeout(self.timeout):
                    result = await client.aquery(query, parameters)
                return _text(result)
            except httpx.ConnectError as error:
                if attempt == 2:
                    raise WolframError(f"{self._host} cannot be reached.") from error
            except (TimeoutError, httpx.TimeoutException) as error:
                waited = f"{self.timeout:g} s"
                raise WolframError(f"{self._host} did not answer within {waited}.") from error
            except httpx.HTTPError as error:
                raise WolframError(f"{self._host}: {type(error).__name__}.") from error
            except ValueError as error:  # the API's own error, and a pod's
                return self._refused(error)
            except (AssertionError, ExpatError, KeyError, TypeError, AttributeError) as error:
                # Another content type, a proxy's page, or a shape that nobody expects.
                raise WolframError(
                    f"{self._host} answered with something that is no result."
                ) from error
        return None

    def _refused(self, error: ValueError) -> str | None:
        text = self._without_id(str(error))
        if "appid" in text.lower():
            raise WolframError(
                f"{self._host} does not accept the AppID.",
                hint="Check facts.wolfram_app_id: groundling config set facts.wolfram_app_id ID",
            ) from None
        raise WolframError(f"{self._host}: {text}") from None

    async def _short(self, query: str) -> str | None:
        parts = urlsplit(self.url)
        host = "www.wolframalpha.com" if parts.hostname == "api.wolframalpha.com" else parts.netloc
        url = urlunsplit((parts.scheme, host, "/api/v1/llm-api", "", ""))
        announce(host, "wolframalpha", len(query.encode()))
        asked = {"appid": self._app_id, "input": query, "maxchars": str(MOST_CHARACTERS)}
        try:
            async with httpx.AsyncClient(timeout=self.timeout, trust_env=False) as client:
                answer = await client.get(url, params=asked)
        except httpx.HTTPError as error:
            raise WolframError(f"{host}: {type(error).__name__}.") from error
        if answer.status_code == httpx.codes.NOT_IMPLEMENTED:
            return None  # it does not understand the question
        if answer.is_error:
            raise WolframError(f"{host} answered {answer.status_code} {answer.reason_phrase}.")
        if not answer.headers.get("Content-Type", "").startswith("text/plain"):
            return None
        return answer.text[:MOST_CHARACTERS].strip() or None

    @property
    def _host(self) -> str:
        return urlsplit(self.url).hostname or "WolframAlpha"

    def _without_id(self, text: str) -> str:
        return text.replace(self._app_id, "…")


def _text(result: Any) -> str | None:
    """Write the pods of a result as lines: the result first, what it was taken for before."""
    if not result.get("@success"):
        return None
    lines = []
    for title, text in _pods(result):
        lines.append(f"{title}: {text}")
        if len(lines) == PODS:
            break
    return "\n".join(lines)[:MOST_CHARACTERS] or None


def _pods(result: Any) -> Iterator[tuple[str, str]]:
    for pod in result.pods or ():
        texts = [part.get("plaintext") for part in pod.subpods or () if isinstance(part, dict)]
        told = " · ".join(" ".join(str(text).split()) for text in texts if text)
        if told:
            yield str(pod.get("@title") or "Result"), told
