"""The names this server may be reached by, and the web pages that may call it.

Without keys a page of any site could have its own name point at this machine and call the server as if it were its own
(DNS rebinding). So while there are no keys, `Host` must be a name or address of the loopback interface, or one of the
settings. A page of another origin is refused whatever it sends: a browser delivers a plain POST without asking first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from runtime.wire.api_error import ApiError

_OWN = ("decision", "target", "attempts", "reason", "degraded", "words")
_EXPOSED = ", ".join([*(f"x-hearth-{name}" for name in _OWN), "x-request-id"]).encode()
_ASKS_FOR = "content-type, authorization, x-api-key"
_MOST_KNOWN, _LONGEST_KNOWN = 64, 256  # values of Host that are remembered; characters of one
_MOST_ASKED = 1024  # bytes of a preflight's list of headers
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s\[\]@/\\?#:,]*))(?::([0-9]{0,5}))?", re.IGNORECASE)
_ORIGIN = re.compile(r"(https?)://(.+)", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
UNIX = "unix"  # the address of a proxy that connects through the Unix socket


class Site(NamedTuple):
    """A host name or address, lower case, without its last dot or brackets; and its port, None if it was not written."""

    name: str
    port: int | None


@lru_cache(maxsize=256)
def site_of(authority: str) -> Site | None:
    """HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT; None of anything else. The name may be empty."""
    found = _AUTHORITY.fullmatch(authority.strip())
    if found is None:
        return None
    name = found[1] or found[2].lower().removesuffix(".")
    if found[1]:
        try:
            name = str(IPv6Address(found[1]))
        except ValueError:
            return None
    return Site(name, int(found[3]) if found[3] else None)


@lru_cache(maxsize=256)
def _loopback(name: str) -> bool:
    """True for `localhost` and the loopback addresses, also for an IPv4 address written as IPv6."""
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


class Hosts:
    """names: what the server is reached by besides loopback names; ports and last dots are taken off.

    known: values of `Host` that `check` has passed, which need no second look.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.known: set[str] = set()
        self._names = frozenset(site.name for site in map(site_of, names) if site is not None and site.name)

    def check(self, host: str) -> None:
        """Raises ApiError 400 for an empty host, 403 for one that is not this server's."""
        site = site_of(host)
        if site is not None and not site.name:
            raise ApiError(400, "the request has no Host", "invalid_host")
        if site is None or not (site.name in self._names or _loopback(site.name)):
            raise ApiError(
                403,
                f"{host[:200]!r} is not a name of this server (server.hosts, or set server.keys)",
                "host_not_allowed",
            )
        if len(self.known) < _MOST_KNOWN and len(host) <= _LONGEST_KNOWN:
            self.known.add(host)


class Origins:
    """allowed: origins as browsers write them ("https://app.example.com"), or "*"."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    def check(self, origin: str, host: str) -> tuple[tuple[bytes, bytes], ...]:
        """The CORS headers of the answer to a page. host: the server as the page calls it. Raises ApiError 403."""
        if same_origin(origin, host):
            return ()
        if "*" not in self._allowed and origin.lower() not in self._allowed:
            raise ApiError(
                403, f"pages of {origin[:200]!r} may not call this server (server.cors)", "origin_not_allowed"
            )
        return (
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"origin"),
        )

    def preflight(self, headers: Mapping[str, str], methods: str) -> list[tuple[bytes, bytes]]:
        """The headers of the answer to an OPTIONS request, besides those of `check`. methods: those of the path."""
        asked = headers.get("access-control-request-headers", _ASKS_FOR)
        return [
            (b"allow", methods.encode()),
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", (asked if len(asked) <= _MOST_ASKED else _ASKS_FOR).encode("latin-1")),
            (b"access-control-max-age", b"600"),
        ]


def same_origin(origin: str, host: str) -> bool:
    """True if a page's origin is this server itself. The scheme counts for the default port alone: a proxy may end TLS."""
    found = _ORIGIN.fullmatch(origin)
    page, own = site_of(found[2]) if found else None, site_of(host)
    if found is None or page is None or own is None:
        return False
    default = _PORTS[found[1].lower()]
    return page.name == own.name and (page.port or default) == (own.port or default)


class Outside(NamedTuple):
    """A request as the client sent it to the proxy in front. host, client, scheme: None if the proxy did not say."""

    host: str | None = None
    client: str | None = None
    scheme: str | None = None


class Proxies:
    """addresses: proxies whose forwarding headers are believed: addresses, networks ("10.0.0.0/8"), or "unix".

    some: true if there is any.
    """

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        every = list(addresses)
        self.some = bool(every)
        self._unix = UNIX in every
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(address, strict=False) for address in every if address != UNIX
        ]

    def trusts(self, peer: str | None) -> bool:
        """peer: the address of the connection; None on the Unix socket."""
        if peer is None:
            return self._unix
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def outside(self, peer: str | None, headers: Mapping[str, str]) -> Outside:
        """The client and the host that a trusted proxy names. Each proxy appends: only the last entry of a list is its own."""
        if not self.trusts(peer):
            return Outside()
        # RFC 7239: elements by commas, their parameters by semicolons
        pairs = [pair.partition("=") for pair in headers.get("forwarded", "").rpartition(",")[2].split(";")]
        forwarded = {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs if text}
        host = headers.get("x-forwarded-host", "").rpartition(",")[2].strip() or forwarded.get("host")
        through = [each.strip() for each in headers.get("x-forwarded-for", "").split(",") if each.strip()]
        if not through and (client := forwarded.get("for")):
            through = [client]
        # the nearest address that is no trusted proxy itself; those before it may be forged
        last = next((each for each in reversed(through) if not self.trusts(each)), None)
        scheme = (headers.get("x-forwarded-proto", "").rpartition(",")[2].strip() or forwarded.get("proto", "")).lower()
        return Outside(host, last, scheme if scheme in ("http", "https") else None)
