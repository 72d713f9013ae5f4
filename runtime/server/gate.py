"""The checks before a request is answered: its Host, the page it comes from, its key, and the scope of its route."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.server.asgi import ClientRequest, Pairs
from runtime.server.hosts_and_origins import Hosts, Origins, Proxies, one_host
from runtime.trust.caller import Scope
from runtime.trust.keys import Keys
from runtime.wire.api_error import ApiError

OPEN = "/health/"  # below it no key is needed, and any Host is taken


@dataclass(frozen=True, slots=True)
class Gate:
    """Replaced whole on a reload. prefix: the path below which a reverse proxy shows this server, "" or "/NAME"."""

    keys: Keys
    origins: Origins = field(default_factory=Origins)
    hosts: Hosts = field(default_factory=Hosts)
    proxies: Proxies = field(default_factory=Proxies)
    prefix: str = ""

    def inside(self, path: str) -> str:
        """The path without the prefix. One that lacks it stays as it is: some proxies take it off themselves."""
        rest = path.removeprefix(self.prefix)
        return rest if rest.startswith("/") else path if rest else "/"

    def meet(self, request: ClientRequest) -> Pairs:
        """The CORS headers of the answer. Raises ApiError for a Host or a page that is refused."""
        outside = self.proxies.outside(request.peer, request.headers)
        if outside.client is not None:
            request.peer = outside.client
        exempt = request.path.startswith(OPEN)
        host = one_host(request.values("host"), required=self.keys.open and not exempt)
        if self.keys.open and not exempt:
            self.hosts.check(host)
            if outside.host is not None:
                self.hosts.check(outside.host)
        origins = request.values("origin")
        return self.origins.check(", ".join(origins), outside.host or host) if origins else ()

    def admit(self, request: ClientRequest) -> None:
        """Puts the caller into the request. Raises ApiError 401."""
        if not request.path.startswith(OPEN):
            request.caller = self.keys.admit(request.headers)


def demand(request: ClientRequest, scopes: tuple[Scope, ...]) -> None:
    """Raises ApiError 403 if the caller holds none of the scopes of the route; none at all: it is open to everybody."""
    if scopes and not any(map(request.caller.may, scopes)):
        words = f"this key lacks the scope {scopes[-1]!s} that {request.method} {request.path[:200]} needs"
        raise ApiError(403, words, "missing_scope")
