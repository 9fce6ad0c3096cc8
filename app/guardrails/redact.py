"""Replace what detectors find by placeholders, in texts and in JSON values.

    redact("Write to hong@example.com", [PersonalData()])
    ("Write to [EMAIL]", Counter({"email": 1}))

Placeholders are nobody's data: they are neither found nor taken for a word before a number. A
second pass may still find more, because they are shorter than what they stand for: a word
such as "phone" comes closer to a number that it was too far from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from groundling.guardrails.detector import (
    THRESHOLD,
    Detector,
    FieldDetector,
    Finding,
    placeholder,
    resolve,
)
from groundling.guardrails.personal import PersonalData
from groundling.guardrails.plain import PlainDetector, plain
from groundling.guardrails.secrets import Secrets

JSON = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None


def default_detectors() -> list[Detector]:
    """Return the detectors for what must not be written: personal data and secrets."""
    return [PersonalData(), Secrets()]


def redact(
    text: str, detectors: Iterable[Detector], *, threshold: float = THRESHOLD
) -> tuple[str, Counter[str]]:
    """Replace each finding by its kind, such as `[EMAIL]`.

    Findings that overlap are replaced together, by the kind of the longest.

    Args:
        text: it is not changed; without a finding the same object is returned.
        detectors: whatever one of them finds is replaced.
        threshold: the least score of a finding to be replaced.

    Returns:
        The text, and how many findings of each kind were replaced.
    """
    findings = _sure(_find(text, *_split(detectors)), threshold)
    return replace(text, findings) if findings else (text, Counter())


class Redactor:
    """Redacts JSON values: every string in them, keys included.

    Args:
        detectors: default, personal data and secrets.
        threshold: the least score of a finding to be replaced.
    """

    def __init__(
        self, detectors: Sequence[Detector] | None = None, *, threshold: float = THRESHOLD
    ) -> None:
        chosen = default_detectors() if detectors is None else list(detectors)
        self._plain, self._others = _split(chosen)
        self._named = [one for one in chosen if isinstance(one, FieldDetector)]
        self._threshold = threshold

    def __call__(self, value: JSON) -> tuple[JSON, Counter[str]]:
        """Return the value with its strings redacted, and how many findings of each kind.

        The value is never changed: it is returned itself where nothing was found, and
        otherwise a copy of its containers. Tuples become lists, as JSON has none; other
        types are left as they are. Depth is not limited, and a container that holds itself
        does so in the copy. Two keys that become the same are numbered: `[EMAIL]`,
        `[EMAIL] 2`. Nobody may change the value meanwhile.
        """
        counts: Counter[str] = Counter()
        copies: dict[int, JSON] = {}  # the value keeps its containers alive: ids stay theirs
        waiting: list[tuple[JSON, JSON]] = []

        def copy(name: str, item: JSON) -> JSON:
            if isinstance(item, str):
                return self._text(item, name, counts)
            if not isinstance(item, dict | list | tuple):
                return item
            if id(item) not in copies:
                copies[id(item)] = {} if isinstance(item, dict) else []
                waiting.append((item, copies[id(item)]))
            return copies[id(item)]

        result = copy("", value)
        while waiting:
            container, into = waiting.pop()
            if isinstance(container, dict) and isinstance(into, dict):
                for key, item in container.items():
                    name = self._text(key, "", counts) if isinstance(key, str) else key
                    into[_free(name, into)] = copy(key if isinstance(key, str) else "", item)
            elif isinstance(into, list):
                into.extend(copy("", item) for item in container)  # type: ignore[union-attr]
        return (result, counts) if counts else (value, counts)

    def _text(self, text: str, name: str, counts: Counter[str]) -> str:
        findings = [*_find(text, self._plain, self._others)]
        if name:
            findings += [found for one in self._named for found in one.find_in_field(name, text)]
        findings = _sure(findings, self._threshold) if findings else findings
        if not findings:
            return text
        text, replaced = replace(text, findings)
        counts.update(replaced)
        return text


def _split(detectors: Iterable[Detector]) -> tuple[list[PlainDetector], list[Detector]]:
    by_pattern: list[PlainDetector] = []
    others: list[Detector] = []
    for detector in detectors:
        if isinstance(detector, PlainDetector):
            by_pattern.append(detector)
        else:
            others.append(detector)
    return by_pattern, others


def _find(text: str, by_pattern: list[PlainDetector], others: list[Detector]) -> Iterator[Finding]:
    if by_pattern:
        view = plain(text)
        for one in by_pattern:
            yield from one.find_plain(view)
    for other in others:
        yield from other.find(text)


def _sure(findings: Iterable[Finding], threshold: float) -> list[Finding]:
    return [found for found in findings if found.score >= threshold and found.end > found.start]


def replace(text: str, findings: Iterable[Finding]) -> tuple[str, Counter[str]]:
    """Replace these findings by their kinds, and count them."""
    counts: Counter[str] = Counter()
    pieces: list[str] = []
    done = 0
    for found in resolve(findings):
        pieces += (text[done : found.start], placeholder(found.kind))
        counts[found.kind] += 1
        done = found.end
    pieces.append(text[done:])
    return "".join(pieces), counts


def _free(key: str, keys: dict[str, JSON]) -> str:
    if key not in keys:
        return key
    number = 2
    while f"{key} {number}" in keys:
        number += 1
    return f"{key} {number}"
