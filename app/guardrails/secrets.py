"""Secrets: what lets whoever reads it act as somebody else.

Kinds: `api_key`, `private_key`, `jwt`, `token`, `password`, `basic_auth` (the login in a web
address), `connection_string` (the login in a database's address).

As with personal data, one pattern finds the few places that need a closer look: the rarest
character of each provider's prefix, and the signs that follow a telling name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from groundling.guardrails.assignments import assigned, field_kind, told
from groundling.guardrails.detector import Finding
from groundling.guardrails.plain import PlainDetector, scan
from groundling.guardrails.providers import KEYS, Key, anchor

# How names that may stand before a sign end, for the first sieve (see `assignments`).
_LATIN = ("ord", "swd", "pwd", "ase", "ode", "key", "ret", "ial", "als", "ken", "ion", "ass")
_LAST = "|".join("".join(f"[{letter}{letter.upper()}]" for letter in end) for end in _LATIN)
_ENDS = (f"(?:{_LAST})", "(?:[pP][wW]|비번|암호|번호|워드|코드|토큰|크릿|.키)")
# What a key may stand behind: no word; or a line break or an escape that is written out.
_LEFT = (r"(?<![A-Za-z0-9_-]{})", r"(?<=\\[nrt]{})", "(?<=%[0-9A-F][0-9A-F]{})")
_LOGIN = re.compile(
    r"://(?P<value>[^\s/:@\"'<>\\]{0,128}:(?![<\[{$*])[^\s/@\"'<>\\]{1,256})@(?=[\w\[])"
)
_WEB = re.compile(r"(?:https?|ftps?|wss?)$", re.IGNORECASE)


def _gate() -> re.Pattern[str]:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for letter, keys in _KEYS.items():
        for place, key in keys:
            until, after = re.escape(key.prefix[: place + 1]), re.escape(key.prefix[place + 1 :])
            free = f"(?:{'|'.join(side.format(until) for side in _LEFT)})" if key.whole else ""
            places[letter].append(f"(?<={until}){free}{after}")
    # As in `"password":`, `["key"] =`, `**Token**:`; aligned columns are looked at more closely.
    between = ("", "[\"'` \\])*]", "\\\\[\"']", "[\"'\\])] ", "[\"']]", "[\"']] ", r"\*\*")
    ends = "|".join(f"(?<={end}{closing}.)" for closing in between for end in _ENDS)
    ends += r"|(?<=[ \t]{2}.)"
    places["="].append(ends)
    places[":"] += ("(?=//)", ends)
    return re.compile(
        "|".join(f"{re.escape(letter)}(?:{'|'.join(ways)})" for letter, ways in places.items())
    )


_KEYS: defaultdict[str, list[tuple[int, Key]]] = defaultdict(list)
for _key in KEYS:
    _KEYS[_key.prefix[anchor(_key.prefix)]].append((anchor(_key.prefix), _key))
_GATE = _gate()


class Secrets(PlainDetector):
    """Finds keys, tokens, passwords and logins."""

    def search(self, text: str) -> Iterator[Finding]:
        """Yield the secrets in a plain text."""
        done = 0
        for hit in scan(_GATE, text):
            if hit.start() >= done:
                for finding in _at(text, hit.start()):
                    done = max(done, finding.end)
                    yield finding
        yield from told(text)

    def find_in_field(self, name: str, text: str) -> Iterable[Finding]:
        """Return the whole text where the field's name says that it is a secret."""
        kind = field_kind(name, text)
        return [Finding(kind, 0, len(text), 0.9)] if kind else ()


def _at(text: str, place: int) -> Iterator[Finding]:
    sign = text[place]
    for before, key in _KEYS.get(sign, ()):
        start = place - before
        if start >= 0 and text.startswith(key.prefix, start):
            match = key.pattern.match(text, start)
            if match:
                group = "value" if "value" in key.pattern.groupindex else 0
                yield Finding(key.kind, *match.span(group), key.score)
    if sign == ":" and text.startswith("//", place + 1):
        login = _LOGIN.match(text, place)
        if login:
            web = _WEB.search(text, max(0, place - 8), place)
            yield Finding("basic_auth" if web else "connection_string", *login.span("value"), 0.95)
    elif sign in ":=":
        yield from assigned(text, place)
