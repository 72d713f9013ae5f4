"""The hop lets no foreign exception out, whatever raises it and at whichever of its calls, and shows no key."""

from __future__ import annotations

import inspect
import ssl
import traceback
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import http_exceptions

from cloud.backend import Account, connect, facts
from cloud.client import CloudClient
from cloud.hop import CloudHop, CloudReply
from runtime.contract.failures import Disposition, HopError, Kind
from runtime.contract.hop import HttpCall
from tests.cloud.anthropic.recorded import NOW
from tests.fakes.guard import GUARD, TO

KEY = "sk-very-secret"
GET = HttpCall("/x", b"", (), "GET")
INFO = cast(aiohttp.RequestInfo, SimpleNamespace(real_url="http://vendor/x", headers={"authorization": KEY}))
PLACE = SimpleNamespace(host="vendor", port=443, is_ssl=True, ssl=True)

# How the exceptions are made that take more than words.
MADE: dict[type[BaseException], Any] = {
    aiohttp.ClientConnectorError: lambda kind: kind(PLACE, OSError(111, "refused")),
    aiohttp.ClientConnectorCertificateError: lambda kind: kind(PLACE, ssl.SSLCertVerificationError("certificate")),
    aiohttp.ClientResponseError: lambda kind: kind(INFO, (), status=400, message="bad"),
    aiohttp.InvalidURL: lambda kind: kind("http://["),
    aiohttp.ServerFingerprintMismatch: lambda kind: kind(b"a", b"b", "vendor", 443),
    http_exceptions.HttpProcessingError: lambda kind: kind(code=400, message="bad"),
    http_exceptions.BadHttpMessage: lambda kind: kind("bad"),
    http_exceptions.BadStatusLine: lambda kind: kind("SSH-2.0"),
    http_exceptions.LineTooLong: lambda kind: kind(b"x", 1),
    UnicodeEncodeError: lambda kind: kind("ascii", "café", 3, 4, "ordinal not in range(128)"),
    UnicodeDecodeError: lambda kind: kind("utf-8", b"\xff", 0, 1, "invalid start byte"),
}


def made(kind: type[Exception]) -> Exception:
    """An exception of that type, as the library would make it."""
    maker = next((MADE[base] for base in kind.__mro__ if base in MADE), None)
    return cast(Exception, maker(kind)) if maker else kind("something went wrong")


def exceptions_of(*modules: Any) -> list[type[Exception]]:
    """Every public exception of the modules, warnings aside."""
    found = {
        each
        for module in modules
        for name, each in vars(module).items()
        if inspect.isclass(each) and issubclass(each, Exception) and not issubclass(each, Warning)
    }
    return sorted(found, key=lambda each: each.__qualname__)


PLAIN: list[type[Exception]] = [
    OSError,
    ConnectionResetError,
    BrokenPipeError,
    TimeoutError,
    EOFError,
    RuntimeError,
    TypeError,
    ValueError,
    UnicodeEncodeError,
    UnicodeDecodeError,
]
# Raised only by calls that the hop does not make: of WebSockets, and `read_nowait`.
UNUSED = (aiohttp.WebSocketError, aiohttp.EofStream)
FOREIGN = [each for each in (*exceptions_of(aiohttp, http_exceptions, ssl), *PLAIN) if each not in UNUSED]


class Raising(CloudClient):
    """A client whose call raises."""

    def __init__(self, error: Exception) -> None:
        super().__init__({})
        self.error = error

    async def send(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], *, connect_s: float
    ) -> aiohttp.ClientResponse:
        raise self.error


class RaisingResponse:
    """A response whose body raises."""

    def __init__(self, error: Exception) -> None:
        self.status, self.content, self.error = 200, self, error
        self.headers: dict[str, str] = {}

    async def readany(self) -> bytes:
        raise self.error

    def close(self) -> None: ...


def shown(error: BaseException) -> str:
    return f"{error} {error!r} {''.join(traceback.format_exception(error))}"


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__qualname__)
async def test_every_exception_of_a_call_becomes_a_failure(kind: type[Exception]) -> None:
    """No exception of aiohttp, ssl or the socket leaves `open` as itself."""
    with pytest.raises(HopError) as caught:
        await CloudHop(Raising(made(kind)), "http://vendor", {"authorization": KEY}, GUARD, TO).open(GET, connect_s=1.0)
    failure = caught.value.failure
    assert failure.kind in {Kind.DOWN, Kind.SILENT, Kind.GARBLED, Kind.REJECTED}
    assert failure.message
    assert KEY not in shown(caught.value)


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__qualname__)
async def test_every_exception_of_a_body_becomes_a_failure(kind: type[Exception]) -> None:
    """No exception leaves `chunk` or `read` as itself."""
    reply = CloudReply(cast(aiohttp.ClientResponse, RaisingResponse(made(kind))))
    for read in (reply.chunk, reply.read):
        with pytest.raises(HopError) as caught:
            await read()
        assert caught.value.failure.kind is Kind.BROKEN_STREAM
        assert KEY not in shown(caught.value)
    reply.close()


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (aiohttp.ConnectionTimeoutError, (Kind.SILENT, Disposition.NEXT_CANDIDATE)),
        (TimeoutError, (Kind.SILENT, Disposition.NEXT_CANDIDATE)),
        (aiohttp.ClientConnectorCertificateError, (Kind.DOWN, Disposition.NEXT_CANDIDATE)),
        (aiohttp.ClientConnectorDNSError, (Kind.DOWN, Disposition.RETRY_HERE)),
        (aiohttp.ServerDisconnectedError, (Kind.DOWN, Disposition.RETRY_HERE)),
        (ConnectionResetError, (Kind.DOWN, Disposition.RETRY_HERE)),
        (RuntimeError, (Kind.DOWN, Disposition.RETRY_HERE)),
        (aiohttp.ClientHttpProxyError, (Kind.DOWN, Disposition.NEXT_CANDIDATE)),
        (aiohttp.ClientResponseError, (Kind.GARBLED, Disposition.NEXT_CANDIDATE)),
        (aiohttp.InvalidURL, (Kind.REJECTED, Disposition.NEXT_CANDIDATE)),
        (UnicodeEncodeError, (Kind.REJECTED, Disposition.NEXT_CANDIDATE)),
        (ValueError, (Kind.REJECTED, Disposition.NEXT_CANDIDATE)),
    ],
)
async def test_what_becomes_of_a_failed_call(kind: type[Exception], verdict: tuple[Kind, Disposition]) -> None:
    """A lost connection is tried again here; a time-out, a bad certificate and a bad request are not."""
    with pytest.raises(HopError) as caught:
        await CloudHop(Raising(made(kind)), "http://vendor", {}, GUARD, TO).open(GET, connect_s=1.0)
    assert (caught.value.failure.kind, caught.value.failure.disposition) == verdict


@pytest.mark.parametrize(
    "headers", [{"anthropic-beta": "a\r\nb: c"}, {"bad name": "x"}, {"anthropic-beta": "a\x00"}], ids=repr
)
async def test_a_header_that_cannot_be_sent_is_a_failure(headers: dict[str, str]) -> None:
    """Neither an exception nor a second header."""
    client = CloudClient({})
    call = HttpCall("/x", b"{}", tuple(headers.items()))
    with pytest.raises(HopError):
        await CloudHop(client, "http://127.0.0.1:9", {}, GUARD, TO).open(call, connect_s=1.0)
    await client.aclose()


@pytest.mark.parametrize("base_url", ["http://[", "nonsense", "http://host:port", "ftp://host", ""])
async def test_an_address_that_is_none_is_a_failure(base_url: str) -> None:
    """A mistaken base URL is found at the call, as a failure."""
    client = CloudClient({"HTTPS_PROXY": "http://127.0.0.1:9"})
    with pytest.raises(HopError):
        await CloudHop(client, base_url, {}, GUARD, TO).open(GET, connect_s=1.0)
    await client.aclose()


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "openai", "groq"])
def test_a_mistaken_base_url_does_not_keep_a_target_from_being_made(provider: str) -> None:
    """The runtime starts and reloads; the calls of that target fail."""
    account = Account(provider, "http://[", KEY)
    assert connect(CloudClient({}), facts("t", account, "m", None, None), account, GUARD, lambda: NOW).lanes


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "openai", "groq"])
def test_no_repr_shows_a_key(provider: str) -> None:
    """Accounts and all that is made of them may be logged."""
    account = Account(provider, None, KEY)
    client = CloudClient({"HTTPS_PROXY": f"http://user:{KEY}@proxy"})
    target = facts("t", account, "m", None, None)
    backend = connect(client, target, account, GUARD, lambda: NOW)
    lane = backend.lanes[0]
    for each in (account, client, target, backend, lane, lane.hop, backend.codec, backend.uploads):
        assert KEY not in f"{each!r} {each}"
