"""The one HTTP client of the process for every vendor: aiohttp, one pool of connections, one TLS context.

An account costs nothing here: its base URL and its key travel with each call (`cloud.hop`), so that a thousand model names and
any number of reloads share the same connections. The client adds no retries, follows no redirects, keeps no cookies and
decompresses nothing. Proxies and certificates are the environment's: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`,
`SSL_CERT_FILE`, `SSL_CERT_DIR`.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

import aiohttp
import httpx

_COPIED_AT_ONCE = 1 << 20  # bytes of a body; aiohttp writes a larger one in pieces


def proxy_of(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy for a URL, or None. Lower-case names win over upper-case ones, NO_PROXY over the others.

    NO_PROXY: "*", or host names, each with all names below it and with or without a port, between commas. This machine's
    loopback addresses have none. Raises ValueError for a proxy that is not spoken to over HTTP.
    """

    def value(name: str) -> str:
        return environ.get(name) or environ.get(name.upper()) or ""

    at = urlsplit(url)
    address = value(f"{at.scheme}_proxy") or value("all_proxy")
    if not address or _is_loopback(at.hostname or ""):
        return None
    hosts = (at.hostname or "", f"{at.hostname}:{at.port}")
    for rule in value("no_proxy").lower().replace(" ", "").split(","):
        name = rule.removeprefix("*").strip(".[]")
        if rule == "*" or (name and any(host == name or host.endswith(f".{name}") for host in hosts)):
            return None
    scheme, separator, _ = address.partition("://")
    if separator and scheme.lower() not in ("http", "https"):
        variables = f"{at.scheme}_proxy or all_proxy".upper()
        advice = f"name one that begins with http://, or put {at.hostname} into NO_PROXY"
        raise ValueError(f"the proxy that {variables} names speaks {scheme}, which is not supported: {advice}")
    return address if separator else f"http://{address}"


def _is_loopback(host: str) -> bool:
    """True for `localhost` and the loopback addresses, also for an IPv4 address written as IPv6."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


class CloudClient:
    """Made once, before there is a loop; connects on the first call; closed once, at the end.

    environ: where the proxies are named. tls: makes the context that every TLS connection uses, of the process's environment;
    costs 40 ms, nearly all of them without the GIL, and is called once, in a thread, before the first TLS connection.
    most_connections, most_per_host: open at the same time; a call beyond them waits, and its connect time-out runs.
    idle_s: an unused connection is closed after this long.
    most_line, most_headers: bounds of an answer's head: bytes of its longest line, number of its headers.
    read_ahead: bytes of an answer that are buffered before the connection is paused (aiohttp pauses at twice as many).
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        tls: Callable[[], ssl.SSLContext] = httpx.create_ssl_context,
        most_connections: int = 1024,
        most_per_host: int = 512,
        idle_s: float = 30.0,
        most_line: int = 16_384,
        most_headers: int = 128,
        read_ahead: int = 65_536,
    ) -> None:
        self._environ = environ
        self._make_tls = tls
        self._tls: asyncio.Future[ssl.SSLContext] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._limits = (most_connections, most_per_host, idle_s)
        self._bounds = (most_line, most_headers, read_ahead)

    async def send(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], *, connect_s: float
    ) -> aiohttp.ClientResponse:
        """The answer, its head read. Raises whatever aiohttp, ssl and the socket raise: `CloudHop` translates.

        connect_s: for a free place in the pool, the name, the connection and its TLS handshake together.
        """
        proxy = proxy_of(url, self._environ)
        secure = url.startswith("https:") or (proxy is not None and proxy.startswith("https:"))
        context: ssl.SSLContext | bool = True
        if secure:
            # Made once, in a thread. A failure (no such file) is not kept: the next call tries again.
            if self._tls is None or (self._tls.done() and (self._tls.cancelled() or self._tls.exception() is not None)):
                self._tls = asyncio.ensure_future(asyncio.to_thread(self._make_tls))
            context = await asyncio.shield(self._tls)
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._session is None:
            self._session = self._open_session()
        return await self._session.request(
            method,
            url,
            data=io.BytesIO(body) if len(body) > _COPIED_AT_ONCE else body or None,
            headers=headers,
            allow_redirects=False,
            proxy=proxy,
            ssl=context,
            timeout=aiohttp.ClientTimeout(connect=connect_s),
        )

    def _open_session(self) -> aiohttp.ClientSession:
        most_connections, most_per_host, idle_s = self._limits
        most_line, most_headers, read_ahead = self._bounds
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=most_connections, limit_per_host=most_per_host, keepalive_timeout=idle_s
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("accept", "content-type"),
            auto_decompress=False,
            max_line_size=most_line,
            max_field_size=most_line,
            max_headers=most_headers,
            read_bufsize=read_ahead,
        )

    async def aclose(self) -> None:
        """Closes every connection, those under way too. Idempotent; a call after it raises."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
