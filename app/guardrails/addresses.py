"""E-mail and IP addresses.

Only IP addresses of the public internet are found: those of private networks, loopback and
documentation (RFC 1918, 5737, 3849 and their like) name no person outside their own network,
and without them a trace of a local server cannot be read. Four short numbers, 2.10.3.1, are
more often a section or a version, so below 32 each they need a word such as "IP" before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from groundling.guardrails.candidate import NO, Candidate, cue, rule, word
from groundling.guardrails.detector import Finding
from groundling.guardrails.plain import scan

_LOCAL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+'~-"
_LONGEST_LOCAL = 64
_AT = re.compile(
    r"@(?<=[A-Za-z0-9_+~-]@)(?![0-9]{1,2}x?\.)"  # icon@2x.png, page@1.txt
    r"(?:[A-Za-z0-9-]{1,63}+\.){1,10}(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24})(?![A-Za-z0-9])"
)
_LOGIN = re.compile(r"://[^\s/@]{0,64}:$")
_VERSION = re.compile(
    r"(?:\bv|\bver\.?|version|release|section|chapter|figure|table|버전|판|절|항|장|그림|표|§)\s?$"
)
_SAID = cue(
    word("ip", "ipv4", "ipv6"),
    "address",
    "host",
    "server",
    "client",
    "접속",
    "주소",
    "아이피",
    "서버",
)
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"


def emails(text: str) -> Iterator[Finding]:
    """Yield the e-mail addresses of a text."""
    for at in scan(_AT, text):
        left = text[max(0, at.start() - _LONGEST_LOCAL) : at.start()]
        local = left[len(left.rstrip(_LOCAL)) :]
        start = at.start() - len(local)
        if text[start - 1 : start] == "\\" and local[0] in "nrt":
            start += 1  # a line break written as \n
            local = local[1:]
        start += len(local) - len(local.lstrip(".%+'~-"))
        if start == at.start() or text[start : at.start()] == "git":
            continue
        if _LOGIN.search(text, max(0, start - 80), start):
            continue  # what stands there is a password
        yield Finding("email", start, at.end(), 0.95)


def _ip4(found: Candidate) -> float:
    address = IPv4Address(found.written)
    if not address.is_global or address.is_multicast or found.before(_VERSION, 12):
        return NO
    if found.before(_SAID):
        return 0.9
    return 0.3 if all(part < 32 for part in address.packed) else 0.75


def _ip6(found: Candidate) -> float:
    try:
        address = IPv6Address(found.written)
    except AddressValueError:
        return NO
    return 0.9 if address.is_global else NO


ADDRESSES = (
    rule("ip", rf"{_BYTE}(?:\.{_BYTE}){{3}}", _ip4),
    rule(
        "ip",
        r"(?<![:A-Fa-f])(?:[0-9][0-9A-Fa-f]{0,3}(?::[0-9A-Fa-f]{1,4}){7}"
        r"|[23][0-9A-Fa-f]{3}(?=[0-9A-Fa-f:]{0,36}::)(?::[0-9A-Fa-f]{0,4}){2,7})(?!:)",
        _ip6,
    ),
)
