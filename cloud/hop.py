"""The hop to one vendor's address: the account's base URL and key on the shared client, aiohttp's errors as failures."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from cloud.client import CloudClient
from runtime.contract.failures import Disposition, Failure, HopError, Kind, forbidden
from runtime.contract.guard import DepartureRefused, Guard, Receiver
from runtime.contract.hop import MOST_BODY, HttpCall, Reply, error_page, relay_chunks, rest_of
from runtime.wire.unpacking import unpacked

# All that aiohttp, ssl and a socket raise: RuntimeError where the session is closed or a connection was lost while it was
# being written, ValueError (with UnicodeError) for a header or an address that no HTTP message can hold.
_FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError, RuntimeError, TypeError, ValueError)
_UNSENDABLE = (aiohttp.InvalidURL, TypeError, ValueError)
_SHORTEST_SECRET = 6  # a shorter one would blot out ordinary words
_NOT_HTTP = (aiohttp.ClientResponseError, HttpProcessingError)


class CloudReply:
    """`runtime.contract.hop.Reply` over an aiohttp response."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    async def chunk(self) -> bytes:
        try:
            return await self._response.content.readany()
        except _FOREIGN as error:
            failure = Failure(Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE, f"the answer was cut: {_words(error)}")
            raise HopError(failure) from error

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        return await relay_chunks(self, take)

    async def read(self, at_most: int = MOST_BODY) -> bytes:
        return await rest_of(self, at_most)

    def close(self) -> None:
        self._response.close()


class ErrorReply:
    """`runtime.contract.hop.Reply` over an error's page that was read already."""

    def __init__(self, status: int, headers: Mapping[str, str], page: bytes) -> None:
        self.status, self.headers = status, headers
        self._page = page

    async def chunk(self) -> bytes:
        page, self._page = self._page, b""
        return page

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        return await relay_chunks(self, take)

    async def read(self, at_most: int = MOST_BODY) -> bytes:
        return await rest_of(self, at_most)

    def close(self) -> None:
        """Nothing is open."""


class CloudHop:
    """`runtime.contract.hop.Hop` to one base URL. Owns nothing: the client and its connections outlive it.

    authorization: the account's header, by name; empty without a key. guard: is shown every call before it is sent.
    to: the account as the guard knows it.
    """

    def __init__(
        self, client: CloudClient, base_url: str, authorization: Mapping[str, str], guard: Guard, to: Receiver
    ) -> None:
        self._client, self._guard, self._to = client, guard, to
        self._base = base_url.rstrip("/")
        given = [value.rpartition(" ")[2].encode() for value in authorization.values()]
        self._secrets = [value for value in given if len(value) >= _SHORTEST_SECRET]
        self._headers = {"accept-encoding": "identity", "user-agent": "hearth", **authorization}

    async def open(self, call: HttpCall, *, connect_s: float) -> Reply:
        try:
            self._guard.check(call.cargo, self._to)
        except DepartureRefused as refused:
            raise HopError(forbidden(str(refused))) from refused
        try:
            response = await self._client.send(
                call.method,
                self._base + call.path,
                call.body,
                self._headers | dict(call.headers),
                connect_s=connect_s,
            )
        except _FOREIGN as error:
            raise _unreached(error) from error
        reply = unpacked(CloudReply(response))
        return reply if reply.status < HTTPStatus.BAD_REQUEST else await self._masked(reply)

    async def _masked(self, reply: Reply) -> Reply:
        """An error whose page does not show the account's key: it is shown to clients and kept. Raises HopError."""
        try:
            page = await error_page(reply)
        finally:
            reply.close()
        for value in self._secrets:
            page = page.replace(value, b"***")
        return ErrorReply(reply.status, reply.headers, page)

    async def aclose(self) -> None:
        """Nothing to close."""


def _unreached(error: Exception) -> HopError:
    """No answer. A connection that was reset is tried again here; one that was never made has taken its time-out."""
    words = _words(error)
    match error:
        case TimeoutError():
            return HopError(Failure(Kind.SILENT, Disposition.NEXT_CANDIDATE, "no connection within its time-out"))
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, f"not reached through the proxy: {words}"))
        case ssl.SSLError() | aiohttp.ClientSSLError():
            return HopError(Failure(Kind.DOWN, Disposition.NEXT_CANDIDATE, f"not reached: {words}"))
        case _ if isinstance(error, _NOT_HTTP):
            return _garbled(f"the answer is not HTTP: {words}")
        case _ if isinstance(error, _UNSENDABLE):
            return HopError(Failure(Kind.REJECTED, Disposition.NEXT_CANDIDATE, f"the request cannot be sent: {words}"))
        case _:
            return HopError(Failure(Kind.DOWN, Disposition.RETRY_HERE, f"not reached: {words}"))


def _garbled(message: str) -> HopError:
    return HopError(Failure(Kind.GARBLED, Disposition.NEXT_CANDIDATE, message))


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:500]
