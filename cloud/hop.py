"""The way to a vendor's address: httpx on aiohttp's transport, proxies and certificates from the environment.

Adds the account's authorization and nothing else; follows no redirects, retries nothing, decodes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from runtime.contract.failures import Disposition, Failure, HopError, Kind
from runtime.contract.hop import MOST_BODY, HttpCall, rest_of

_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30)


class CloudReply:
    """`runtime.contract.hop.Reply` over an httpx response."""

    def __init__(self, response: httpx.Response, closing: set[asyncio.Task[None]]) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._pieces = response.aiter_raw()
        self._closing = closing

    async def chunk(self) -> bytes:
        try:
            return await anext(self._pieces, b"")
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise _broken(error) from error

    async def read(self, at_most: int = MOST_BODY) -> bytes:
        return await rest_of(self, at_most)

    def close(self) -> None:
        if self._response.is_closed:
            return
        task = asyncio.get_running_loop().create_task(self._response.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class CloudHop:
    """`runtime.contract.hop.Hop` to one base URL. `authorization`: the account's header, by name; empty without a key."""

    def __init__(self, base_url: str, authorization: Mapping[str, str]) -> None:
        self._base = base_url.rstrip("/")
        self._client = HttpxAiohttpClient(
            headers={"accept-encoding": "identity", "user-agent": "hearth", **authorization},
            limits=_LIMITS,
            timeout=None,
            follow_redirects=False,
        )
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self, call: HttpCall, *, connect_s: float) -> CloudReply:
        request = self._client.build_request(
            call.method,
            self._base + call.path,
            content=call.body,
            headers=dict(call.headers),
            timeout=httpx.Timeout(None, connect=connect_s),
        )
        try:
            response = await self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unreached(error) from error
        return CloudReply(response, self._closing)

    async def aclose(self) -> None:
        if self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)
        await self._client.aclose()


def _unreached(error: Exception) -> HopError:
    """A connection that never stood is not tried again here (it took its time-out); one that was reset is.

    The transport calls every lost connection a time-out; what really happened is its cause.
    """
    if isinstance(error.__cause__, TimeoutError):
        return HopError(Failure(Kind.SILENT, Disposition.NEXT_CANDIDATE, "no connection within its time-out"))
    what = str(error) or type(error).__name__
    return HopError(Failure(Kind.DOWN, Disposition.RETRY_HERE, f"not reached: {what}"))


def _broken(error: Exception) -> HopError:
    what = str(error) or type(error).__name__
    return HopError(Failure(Kind.BROKEN_STREAM, Disposition.NEXT_CANDIDATE, f"the answer was cut: {what}"))
