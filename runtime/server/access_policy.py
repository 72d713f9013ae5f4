"""The checks before a request is answered: its Host, the page it comes from, its key, and the scope of its route."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.server.asgi import ClientRequest, Pairs
from runtime.server.hosts_and_origins import Hosts, Origins, Proxies, same_origin
from runtime.trust.caller import Scope
from runtime.trust.keys import Keys
from runtime.wire.api_error import ApiError

OPEN = "/health/"  # below it no key is needed, and any Host is taken
KEYLESS = (OPEN, "/ui/")  # and "/" itself: the dashboard holds no data
_OWN_SITE = frozenset({"same-origin", "none"})  # of Sec-Fetch-Site; "none": typed, or from a bookmark


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
            forwarded, client, _ = self.proxies.outside(request.peer, headers)
            request.peer = client or request.peer
        if self.keys.open and not request.path.startswith(OPEN):
            if host not in self.hosts.known:
                self.hosts.check(host)
            if forwarded is not None:
                self.hosts.check(forwarded)
        return () if origin is None else self.origins.check(origin, forwarded or host)

    def address(self, request: ClientRequest) -> str:
        """This server's address as the client sees it: that of the proxy in front, if one is trusted, with the prefix."""
        peer = client[0] if (client := request.scope.get("client")) else None
        outside = self.proxies.outside(peer, request.headers)
        scheme = outside.scheme or request.scope.get("scheme", "http")
        return f"{scheme}://{outside.host or request.headers.get('host', 'localhost')}{self.prefix}"

    def guard_change(self, request: ClientRequest) -> None:
        """The checks of a route that changes the server, besides its scope: `cors` never opens one.

        Raises ApiError 403 for a page of another origin, 415 for a body that is not declared as JSON: a page can send any
        other kind without asking first.
        """
        headers = request.headers
        host = self.proxies.outside(request.peer, headers).host if self.proxies.some else None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none").lower()
        if site not in _OWN_SITE or (origin is not None and not same_origin(origin, host or headers.get("host", ""))):
            raise ApiError(403, "only a page of this server itself may change it", "origin_not_allowed")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and (kind or request.method != "DELETE"):
            raise ApiError(415, "send the body as content-type: application/json", "unsupported_media_type")

    def admit(self, request: ClientRequest, scopes: tuple[Scope, ...]) -> None:
        """Raises ApiError 403 if the caller holds none of a route's scopes; none at all: it is open to everybody."""
        if not scopes or not request.caller.scopes.isdisjoint(scopes) or Scope.ADMIN in request.caller.scopes:
            return
        words = f"this key lacks the scope {scopes[-1]!s} that {request.method} {request.path[:200]} needs"
        raise ApiError(403, words, "missing_scope")
