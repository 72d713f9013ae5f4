"""The checks before a request is answered: its Host, the page it comes from, its key, and the scope of its route."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.server.asgi import ClientRequest, Pairs
from runtime.server.hosts_and_origins import Hosts, Origins, Proxies
from runtime.trust.caller import Scope
from runtime.trust.keys import Keys
from runtime.wire.api_error import ApiError

OPEN = "/health/"  # below it no key is needed, and any Host is taken


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Who may do what. Replaced whole on a reload.

    prefix: the path below which a reverse proxy shows this server, "" or "/NAME".
    """

    keys: Keys
    origins: Origins = field(default_factory=Origins)
    hosts: Hosts = field(default_factory=Hosts)
    proxies: Proxies = field(default_factory=Proxies)
    prefix: str = ""

    def inside(self, path: str) -> str:
        """The path without the prefix. A path that lacks it stays as it is: some proxies remove it themselves."""
        rest = path.removeprefix(self.prefix)
        return rest if rest.startswith("/") else path if rest else "/"

    def meet(self, request: ClientRequest) -> Pairs:
        """The CORS headers of the answer. Raises ApiError for a Host or a page that is refused."""
        headers = request.headers
        host, origin, forwarded = headers.get("host", ""), headers.get("origin"), None
        if request.repeated:
            if len(request.values("host")) > 1:
                raise ApiError(400, "the request has several Host headers", "invalid_host")
            origin = ", ".join(request.values("origin")) if origin is not None else None
        if self.proxies.some:
            forwarded, client = self.proxies.outside(request.peer, headers)
            request.peer = client or request.peer
        if self.keys.open and not request.path.startswith(OPEN):
            self.hosts.check(host)
            if forwarded is not None:
                self.hosts.check(forwarded)
        return () if origin is None else self.origins.check(origin, forwarded or host)

    def admit(self, request: ClientRequest, scopes: tuple[Scope, ...]) -> None:
        """Raises ApiError 403 if the caller holds none of a route's scopes; none at all: it is open to everybody."""
        if not scopes or not request.caller.scopes.isdisjoint(scopes) or Scope.ADMIN in request.caller.scopes:
            return
        words = f"this key lacks the scope {scopes[-1]!s} that {request.method} {request.path[:200]} needs"
        raise ApiError(403, words, "missing_scope")
