"""Which addresses of the internet may be called: public ones, looked up once and then kept.

A name that is checked and then looked up again may lead elsewhere the second time (DNS
rebinding). So the address that was checked is the one that is connected to.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from urllib.parse import SplitResult, urlsplit

from groundling.errors import ToolError

PORTS = {"http": 80, "https": 443}
_LONGEST = 200  # characters of an address in a message
Resolver = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Look up a name; returns addresses as texts. It may take long, and no one can stop it.

    Raises:
        OSError: there is no such name, or no network.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def checked_url(url: str, hosts: Iterable[str]) -> SplitResult:
    """Split a URL that may be read.

    Args:
        url: an http or https address, without a login and on its usual port.
        hosts: the names that are allowed; `*.example.org` stands for every name below it.

    Raises:
        ToolError: it is none, or its host is not allowed.
    """
    try:
        parts = urlsplit(url.strip())
        port, host = parts.port, _ascii(parts.hostname or "")
        "".join(parts).encode()
    except (ValueError, UnicodeError) as error:
        raise ToolError(f"{_shown(url)!r} is no web address: {error}") from error
    if parts.scheme not in PORTS or not host:
        raise ToolError(
            f"{_shown(url)!r} is no web address; it must begin with https:// or http://."
        )
    if parts.username is not None or parts.password is not None:
        raise ToolError(f"The address of {_shown(host)} carries a login; that is not allowed.")
    if port not in (None, PORTS[parts.scheme]):
        raise ToolError(f"{_shown(host)}:{port} is not the usual port of {parts.scheme}.")
    allowed = list(hosts)
    if not any(_matches(host, name) for name in allowed):
        raise ToolError(
            f"{_shown(host)} is not among the hosts that may be read.",
            hint=f"Its owner may allow it: tools.web_hosts (now: {', '.join(allowed) or 'none'}).",
        )
    return parts._replace(netloc=host)


def public_address(host: str, port: int, resolver: Resolver = resolve) -> str:
    """Look up a host and return the address to connect to.

    Raises:
        ToolError: it cannot be found, or one of its addresses is not a public one.
    """
    try:
        found = resolver(host, port)
    except (OSError, UnicodeError) as error:
        raise ToolError(f"{host} cannot be found: {error}") from error
    if not found:
        raise ToolError(f"{host} has no address.")
    for address in found:
        if not is_public(address):
            raise ToolError(f"{host} leads to {address}, which is no public address.")
    return found[0]


def is_public(address: str) -> bool:
    """Tell whether an IP address is one that everybody reaches.

    Private, loopback, link-local (cloud metadata among them), multicast and reserved ones are
    not, nor are IPv6 addresses that stand for such IPv4 ones.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not (ip.is_multicast or ip.is_reserved) and not _among(ip, _SPECIAL)
    if ip in _NAT64:  # how networks without IPv4 reach it
        return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    if (inner := ip.sixtofour) is not None and not is_public(str(inner)):
        return False
    return ip in _UNICAST and ip.is_global and not _among(ip, _SPECIAL)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is given out of IPv6 (RFC 4291)
# What Python 3.11 takes for global, and the registries of IANA for special purposes do not.
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20")
)


def _among(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
    networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network],
) -> bool:
    return any(ip.version == network.version and ip in network for network in networks)


def _matches(host: str, allowed: str) -> bool:
    below = allowed.strip().startswith("*.")
    try:
        name = _ascii(allowed.strip().removeprefix("*."))
    except UnicodeError:
        return False
    return bool(name) and (host.endswith(f".{name}") if below else host == name)


def _ascii(host: str) -> str:
    """Write a host as the name servers know it: 한국.kr is xn--3e0b707e.kr."""
    host = host.rstrip(".")
    return host.encode("idna").decode("ascii").lower() if host else ""


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
