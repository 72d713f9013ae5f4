"""The commands' HTTP client of a running runtime: its address, its key, and transport errors as sentences.

Knows addresses and errors, no endpoint.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import httpx
import msgspec

from runtime.cli.exits import CommandError, Exit
from runtime.settings import Settings
from runtime.settings.agree import on_this_machine
from runtime.settings.environment import API_KEY, environment, state_dir
from runtime.settings.faults import SettingsError
from runtime.settings.read import load
from runtime.trust.admin_key import local_admin_key

_T = TypeVar("_T")
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Address:
    """url: without a slash at its end and without `/v1`. key: a secret, never printed. socket: a Unix socket's path, or ""."""

    url: str
    key: str | None = None
    socket: str = ""

    @property
    def on_this_machine(self) -> bool:
        return on_this_machine(urlsplit(self.url).hostname or "")


def settings_from(config: Path | None, env: Mapping[str, str], *, keyless: bool = False) -> Settings:
    """keyless: no key needs a value. Raises CommandError with every problem."""
    try:
        return load(config, env, keyless=keyless).settings
    except SettingsError as fault:
        raise CommandError(f"the settings cannot be used:\n{fault}", Exit.SETTINGS) from fault
    except OSError as fault:
        raise CommandError(f"the settings cannot be read: {fault}", Exit.SETTINGS) from fault


def address_of(url: str | None, config: Path | None, env: Mapping[str, str]) -> Address:
    """The runtime's address: `url`, else from the settings. The key comes from the environment."""
    key = env.get(API_KEY) or None
    if url is not None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise CommandError(f"`{url}` is no address; write it like http://127.0.0.1:8000", Exit.USAGE)
        return Address(url.rstrip("/").removesuffix("/v1"), key)
    server = settings_from(config, env, keyless=True).server
    if server.socket:
        return Address("http://localhost", key, server.socket)
    if server.port == 0:
        raise CommandError("the settings take any free port (0): say where the runtime is with --url", Exit.USAGE)
    host = _EVERY_ADDRESS.get(server.host, server.host)
    return Address(f"http://{f'[{host}]' if ':' in host else host}:{server.port}", key)


def own_runtime(folder: Path, config: Path | None, env: Mapping[str, str]) -> Address:
    """The runtime that owns a state folder of this user, with the folder's admin key where the environment has none."""
    address = address_of(None, config, env)
    return address if address.key is not None else Address(address.url, local_admin_key(folder), address.socket)


def runtime_of(url: str | None, config: Path | None, env: Mapping[str, str]) -> Address:
    """The runtime at `url`, else this user's own, with an admin key."""
    return address_of(url, config, env) if url else own_runtime(state_dir(env), config, env)


def client(address: Address, *, read_s: float | None = 30.0) -> httpx.Client:
    """read_s: the longest silence between two pieces of an answer; None waits for ever.

    The environment's proxies hold, but never for an address on this machine. Raises CommandError for an unusable one.
    """
    headers = {"authorization": f"Bearer {address.key}"} if address.key else {}
    transport = httpx.HTTPTransport(uds=address.socket) if address.socket else None
    variable = proxy_variable(address.url, environment())

    def not_the_proxys(reply: httpx.Response) -> None:
        kind = reply.headers.get("content-type", "")
        if variable and reply.is_error and "json" not in kind:
            words = f"the proxy that {variable} names answered {reply.status_code} in the runtime's place"
            raise CommandError(f"{words}: {_around(address.url)}", Exit.NO_RUNTIME)

    try:
        return httpx.Client(
            base_url=address.url,
            headers=headers,
            timeout=httpx.Timeout(read_s, connect=5.0),
            trust_env=not address.on_this_machine,
            transport=transport,
            event_hooks={"response": [not_the_proxys]},
        )
    except (ImportError, ValueError) as fault:  # SOCKS, or a proxy's address that is none
        raise CommandError(f"{unusable_proxy(variable)}, or {_around(address.url)}", Exit.USAGE) from fault


def proxy_variable(url: str, env: Mapping[str, str]) -> str | None:
    """The variable that names the proxy for an address; None without one, and always for this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if on_this_machine(host) or proxy_bypass(host):
        return None
    names = (f"{parts.scheme}_proxy", "all_proxy")
    return next((spelt for name in names for spelt in (name, name.upper()) if env.get(spelt)), None)


def unusable_proxy(variable: str | None) -> str:
    """The sentence for a proxy that no client here speaks. Its address is not shown, because it may hold a password."""
    return f"the proxy that {variable or 'the environment'} names cannot be used: name one that begins with http://"


def _around(url: str) -> str:
    return f"put {urlsplit(url).hostname} into NO_PROXY to go around it"


@contextlib.contextmanager
def faults_in_words(address: Address) -> Iterator[None]:
    """Turns httpx errors into a CommandError."""
    variable = proxy_variable(address.url, environment())
    through = f" through the proxy that {variable} names; {_around(address.url)}" if variable else ""
    try:
        yield
    except httpx.ProxyError as fault:
        words = f"the proxy that {variable} names did not connect to {address.url} ({fault})"
        raise CommandError(f"{words}: {_around(address.url)}", Exit.NO_RUNTIME) from fault
    except (httpx.ConnectError, httpx.ConnectTimeout) as fault:
        start = "; start it with: hearth serve" if address.on_this_machine else f" ({fault})"
        raise CommandError(f"no runtime answers at {address.url}{start}{through}", Exit.NO_RUNTIME) from fault
    except httpx.TimeoutException as fault:
        raise CommandError(f"{address.url} was silent too long{through}", Exit.NO_RUNTIME) from fault
    except (httpx.RemoteProtocolError, httpx.ReadError) as fault:
        raise CommandError(f"{address.url} cut the answer: {fault}{through}", Exit.CUT) from fault
    except httpx.HTTPError as fault:
        raise CommandError(f"{address.url}: {fault}{through}", Exit.NO_RUNTIME) from fault


def asked(address: Address, method: str, path: str, kind: type[_T], body: Any = None) -> _T:
    """One JSON answer of a running runtime, as `kind`. body: is sent as JSON. Raises CommandError."""
    with faults_in_words(address), client(address) as http:
        return answer_of(http.request(method, path, json=body), kind)


def answer_of(reply: httpx.Response, kind: type[_T]) -> _T:
    """Raises CommandError for a refusal, and for an answer that this version does not know."""
    if reply.status_code != HTTPStatus.OK:
        raise refusal(reply.status_code, reply.content)
    return decoded(reply.content, kind, reply.url)


def decoded(data: bytes, kind: type[_T], url: httpx.URL) -> _T:
    """JSON that the runtime sent. Raises CommandError for what this version does not know. url: of the page that it is from."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as fault:
        raise CommandError(f"{url} does not answer like a Hearth of this version: {fault}", Exit.REFUSED) from fault


def refusal(status: int, body: bytes) -> CommandError:
    """The CommandError for an error answer: the runtime's own message, and advice for some statuses."""
    try:
        message, code = error_words(msgspec.json.decode(body).get("error"))
    except (msgspec.DecodeError, AttributeError):  # no error body in the OpenAI shape
        message, code = "", ""
    said = f": {message}" if message else ""
    name = f"{status} {code}" if code else str(status)
    advice = _ADVICE.get(status, "") if code not in _OTHER_THINGS else ""
    if code == "missing_scope":
        advice = f"; put an admin key into {API_KEY}"
    return CommandError(f"the runtime refused ({name}){said}{advice}", Exit.REFUSED)


_ADVICE = {
    401: f"; put a key the runtime knows into {API_KEY}",
    404: "; `hearth status` lists the targets",
    405: "; is this address a Hearth?",
    407: "; a proxy on the way asks for a login: correct HTTP_PROXY, or name the host in NO_PROXY",
}


_OTHER_THINGS = ("run_not_found", "set_not_found")  # no target is meant


def error_words(error: Any) -> tuple[str, str]:
    """(message, code or type) of an error object in the OpenAI shape; empty for anything else."""
    if isinstance(error, str):
        return error, ""
    if not isinstance(error, dict):
        return "", ""
    return str(error.get("message") or ""), str(error.get("code") or error.get("type") or "")
