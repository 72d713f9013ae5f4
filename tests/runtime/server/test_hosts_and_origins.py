"""Which names and pages reach the server: hosts x origins x keys x verbs x paths, and the parts by themselves."""

from __future__ import annotations

import itertools

import pytest

from runtime.server.access_policy import AccessPolicy
from runtime.server.hosts_and_origins import Hosts, Origins, Outside, Proxies, Site, site_of
from runtime.server.routes import SCOPES
from runtime.trust.caller import Scope
from runtime.trust.keys import Keys
from runtime.wire.api_error import ApiError
from tests.fakes.bare_app import asked, bare_app

# Host headers of a request, and what a door without keys says of them; None: it goes on.
HOSTS: dict[tuple[str, ...], int | None] = {
    ("localhost",): None,
    ("LocalHost.:8000",): None,
    ("127.0.0.1:8000",): None,
    ("127.8.8.8",): None,
    ("[::1]:8000",): None,
    ("[::ffff:127.0.0.1]",): None,
    ("Box.Example:8000",): None,  # of the settings
    ("box.example.",): None,
    (): 400,
    ("",): 400,
    (" ",): 400,
    (":8000",): 400,
    (".",): 400,
    ("localhost", "localhost"): 400,
    ("localhost", "evil.example"): 400,
    ("evil.example:8000",): 403,
    ("sub.box.example",): 403,
    ("box.example.evil.example",): 403,
    ("localhost.evil.example",): 403,
    ("localhost@evil.example",): 403,
    ("evil.example#localhost",): 403,
    ("localhost:evil",): 403,
    ("localhost, evil.example",): 403,
    ("0.0.0.0:8000",): 403,
    ("[::]",): 403,
    ("::1",): 403,
    ("[::1",): 403,
    ("[evil]",): 403,
    ("192.168.0.10",): 403,
    ("2130706433",): 403,
    ("[fe80::1%25lo]",): 403,
    ("\xe9vil",): 403,
}
# Origin headers, and whether a page of theirs may call a server that is reached as HOST, or that the settings name.
ORIGINS: dict[tuple[str, ...], bool] = {
    (): True,
    ("http://HOST",): True,
    ("https://app.example",): True,
    ("HTTPS://APP.EXAMPLE",): True,
    ("http://app.example",): False,
    ("https://app.example:444",): False,
    ("https://app.example.evil.example",): False,
    ("null",): False,
    ("",): False,
    ("http://[",): False,
    ("http://",): False,
    ("HOST",): False,
    ("file://",): False,
    ("http://evil.example",): False,
    ("https://app.example", "http://evil.example"): False,
    ("http://HOST/path",): False,
    ("http://user@HOST",): False,
}
PLACES = [
    ("GET", "/v1/models"),
    ("HEAD", "/v1/models"),
    ("POST", "/v1/responses"),
    ("DELETE", "/v1/responses/resp_1"),
    ("OPTIONS", "/v1/responses"),
    ("GET", "/hearth/status"),
    ("POST", "/hearth/explain"),
    ("GET", "/metrics"),
    ("GET", "/health/live"),
    ("POST", "/nowhere"),
    ("BREW", "/v1/models"),
]


def expected(hosts: tuple[str, ...], page: bool, keys: str, method: str, path: str) -> int:
    """What DESIGN's "Who may" says, written down without the code under test."""
    exempt = path.startswith("/health/")
    if len(hosts) > 1:
        return 400  # HTTP's own rule
    refused = HOSTS[hosts]
    if not exempt and refused is not None and keys == "none":
        return refused
    if not page:
        return 403
    if method == "OPTIONS":
        return 204
    if keys == "not shown" and not exempt:
        return 401
    return 404 if path == "/nowhere" else 405 if method == "BREW" else 200


@pytest.mark.parametrize("keys", ["none", "shown", "not shown"])
@pytest.mark.parametrize("hosts", HOSTS)
async def test_hosts_origins_keys_verbs_and_paths(hosts: tuple[str, ...], keys: str) -> None:
    """The whole table, with every combination; whatever is sent, the answer is one of the table's."""
    policy = AccessPolicy(
        Keys(() if keys == "none" else ["secret"]), Origins(["https://app.example"]), Hosts(["box.example"])
    )
    app = bare_app(policy)
    reached = hosts[0] if HOSTS[hosts] is None else "elsewhere.example"
    for origins, (method, path) in itertools.product(ORIGINS, PLACES):
        headers = [("host", each) for each in hosts]
        headers += [("origin", each.replace("HOST", reached)) for each in origins]
        if keys == "shown":
            headers.append(("x-api-key", "secret"))
        # a page counts as the server's own only where the Host header agrees with it
        page = ORIGINS[origins] and not (origins == ("http://HOST",) and reached not in hosts)
        answer = await asked(app, method, path, headers)
        case = (hosts, origins, keys, method, path)
        assert answer.status == expected(hosts, page, keys, method, path), case
        assert answer.ended and (answer.status != 500), case


CHANGES = [route for route, scopes in SCOPES.items() if scopes == (Scope.ADMIN,) and route[0] not in ("GET", "HEAD")]
# Pages, with the site that a browser says they are of, and whether one may change the server that is reached as "localhost".
PAGES: dict[tuple[str | None, str | None], bool] = {
    (None, None): True,  # no browser
    (None, "none"): True,
    ("http://localhost", "same-origin"): True,
    ("http://localhost", None): True,
    ("http://localhost", "Same-Origin"): True,
    ("https://app.example", "cross-site"): False,  # which `cors` opens /v1 to
    ("https://app.example", None): False,
    ("http://localhost", "cross-site"): False,
    ("http://localhost:9", "same-site"): False,
    ("http://other.example", "same-origin"): False,
    ("null", "none"): False,
    (None, "cross-site"): False,
    (None, "same-site"): False,
    (None, "whatever comes"): False,
}
SHOWN: dict[str | None, int | None] = {"root": None, "user": 403, "wrong": 401, None: 401}  # keys, and what they get


@pytest.mark.parametrize("keys", ["none", "set"])
async def test_what_changes_the_server_wants_its_own_page_and_the_admin_s_key(keys: str) -> None:
    """Every changing route x hosts x origins x fetch sites x keys x kinds of body."""
    users = ["user"] if keys == "set" else []
    policy = AccessPolicy(Keys(users, (), "root"), Origins(["https://app.example"]), Hosts([]))
    app, peers = bare_app(policy), itertools.count()
    assert len(CHANGES) > 8
    for (method, path), host in itertools.product(CHANGES, ("localhost", "evil.example")):
        for (origin, site), key, kind in itertools.product(PAGES, SHOWN, ("application/json", "text/plain")):
            headers = [("host", host), ("content-type", kind)]
            headers += [("origin", origin)] if origin is not None else []
            headers += [("sec-fetch-site", site)] if site is not None else []
            headers += [("x-api-key", key)] if key is not None else []
            at = f"{path}x" if path.endswith("/") else path
            # each from an address of its own: many wrong keys of one are answered 429
            answer = await asked(app, method, at, headers, client=(f"peer-{next(peers)}", 1))
            case = (keys, method, path, host, origin, site, key, kind)
            # Without keys the host comes first, and a key that nobody knows is a reader's.
            refused = [403] if keys == "none" and host == "evil.example" else []
            refused += [403] if origin not in (None, "http://localhost", "https://app.example") else []
            refused += [403] if origin == "http://localhost" and host != "localhost" else []
            refused += [status] if (status := SHOWN[key] if keys == "set" or key == "root" else 403) else []
            refused += [403] if not PAGES[origin, site] else []
            refused += [415] if kind != "application/json" else []
            assert answer.status == (refused or [200])[0], case


@pytest.mark.parametrize(
    ("authority", "site"),
    [
        ("A.example.:80", Site("a.example", 80)),
        ("[2001:DB8::1]", Site("2001:db8::1", None)),
        ("a:", Site("a", None)),
        ("a:123456", None),
        ("a b", None),
        ("a/b", None),
        ("a\\b", None),
        ("a?b", None),
    ],
)
def test_an_authority_is_read_whole_or_not_at_all(authority: str, site: Site | None) -> None:
    """Lower case, without brackets and last dot; nothing that two readers could understand differently."""
    assert site_of(authority) == site


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://a", "a:80", True),
        ("https://a", "a:443", True),
        ("https://a", "a:80", False),
        ("https://a:8443", "a:8443", True),
        ("http://[::1]:8000", "[0:0::1]:8000", True),
        ("http://a.", "a", True),
        ("http://a:8000", "a", False),
        ("null", "null", False),
    ],
)
def test_a_page_of_the_server_itself(origin: str, host: str, own: bool) -> None:
    """Name and port agree, a default port written or not."""
    if own:
        assert Origins().check(origin, host) == ()
    else:
        with pytest.raises(ApiError, match="may not call"):
            Origins().check(origin, host)


def test_every_origin_may_be_allowed() -> None:
    """Then the page's own origin is named in the answer, `null` too."""
    assert dict(Origins(["*"]).check("null", "a"))[b"access-control-allow-origin"] == b"null"


TRUSTED = Proxies(["10.0.0.0/8", "::1", "unix"])


@pytest.mark.parametrize(
    ("peer", "headers", "outside"),
    [
        ("192.0.2.1", {"x-forwarded-host": "a", "x-forwarded-for": "b"}, Outside()),
        ("10.1.1.1", {}, Outside()),
        ("10.1.1.1", {"x-forwarded-host": "evil, box.example"}, Outside("box.example")),
        ("10.1.1.1", {"x-forwarded-proto": "http, HTTPS"}, Outside(scheme="https")),
        ("10.1.1.1", {"x-forwarded-proto": "javascript"}, Outside()),
        ("10.1.1.1", {"x-forwarded-for": "9.9.9.9, 192.0.2.7, 10.2.2.2"}, Outside(None, "192.0.2.7")),
        ("10.1.1.1", {"x-forwarded-for": "10.2.2.2"}, Outside()),
        (
            "::1",
            {"forwarded": 'for=9.9.9.9, for=192.0.2.9;host="box.example:1";proto=https'},
            Outside("box.example:1", "192.0.2.9", "https"),
        ),
        (None, {"x-forwarded-for": "192.0.2.7"}, Outside(None, "192.0.2.7")),
        ("nonsense", {"x-forwarded-for": "192.0.2.7"}, Outside()),
        ("10.1.1.1", {"forwarded": "for;;=,;host"}, Outside()),
    ],
)
def test_forwarding_headers_of_trusted_proxies(peer: str | None, headers: dict[str, str], outside: Outside) -> None:
    """The last entry of a list is the proxy's own word; all before it may be the client's."""
    assert TRUSTED.outside(peer, headers) == outside


def test_no_proxy_is_trusted_unasked() -> None:
    """Not even on this machine or on the Unix socket."""
    for peer in ("127.0.0.1", None):
        assert Proxies().outside(peer, {"x-forwarded-host": "a"}) == Outside()


@pytest.mark.parametrize(
    ("client", "host", "forwarded", "status"),
    [
        ("10.0.0.1", "127.0.0.1", "box.example", 200),
        ("10.0.0.1", "127.0.0.1", "evil.example", 403),
        ("10.0.0.1", "evil.example", "localhost", 403),
        ("192.0.2.1", "127.0.0.1", "evil.example", 200),
        ("192.0.2.1", "evil.example", "localhost", 403),
    ],
)
async def test_a_host_behind_a_proxy(client: str, host: str, forwarded: str, status: int) -> None:
    """Both names are checked where the proxy is trusted; where it is not, its word counts for nothing."""
    app = bare_app(AccessPolicy(Keys(()), hosts=Hosts(["box.example"]), proxies=TRUSTED))
    headers = [("host", host), ("x-forwarded-host", forwarded)]
    assert (await asked(app, "GET", "/v1/models", headers, client=(client, 1))).status == status


async def test_a_page_behind_a_proxy_is_the_server_s_own() -> None:
    """The page knows the outer name, the request carries the inner one."""
    app = bare_app(AccessPolicy(Keys(["k"]), proxies=TRUSTED))
    headers = [("host", "inner:8000"), ("x-api-key", "k"), ("origin", "https://box.example")]
    assert (await asked(app, "GET", "/v1/models", headers, client=None)).status == 403
    headers.append(("x-forwarded-host", "box.example"))
    assert (await asked(app, "GET", "/v1/models", headers, client=None)).status == 200


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/box/v1/models", "/v1/models"),
        ("/v1/models", "/v1/models"),
        ("/box", "/"),
        ("/boxer/v1", "/boxer/v1"),
        ("*", "*"),
    ],
)
def test_a_path_prefix_is_taken_off_whole(path: str, inside: str) -> None:
    """Also where the proxy took it off itself."""
    assert AccessPolicy(Keys(()), prefix="/box").inside(path) == inside
    assert AccessPolicy(Keys(())).inside(path) == path
