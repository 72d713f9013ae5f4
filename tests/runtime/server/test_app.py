"""The order of the checks, scopes, methods, ids, and the floor beneath every page."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from runtime.server import access_log
from runtime.server.access_policy import AccessPolicy
from runtime.server.asgi import JSON, ClientGone, ClientRequest, Pairs
from runtime.server.routes import SCOPES
from runtime.server.wrong_keys import WrongKeys
from runtime.trust.caller import Caller, Scope
from runtime.trust.key_store import Admission, CreatedKeys, digest_of
from runtime.trust.keys import Keys
from tests.fakes.bare_app import asked, bare_app

ALL = frozenset(Scope)


class Granting(Keys):
    """Keys that are scopes: "read" holds that scope alone."""

    def admit(self, headers: Any) -> Caller:
        return Caller(headers["x-api-key"], frozenset({Scope(headers["x-api-key"])}))


@pytest.mark.parametrize("held", list(Scope))
async def test_every_route_asks_for_its_scope(held: Scope) -> None:
    """`admin` opens all, the others their own routes; /health needs none."""
    app = bare_app(AccessPolicy(Granting(["any"])))
    for (method, path), scopes in SCOPES.items():
        if (method, path) == ("POST", "/v1/messages"):
            continue
        json = ("content-type", "application/json")
        answer = await asked(app, method, path, [("x-api-key", held), json])
        allowed = not scopes or held in (*scopes, Scope.ADMIN)
        assert answer.status == (200 if allowed else 403), (method, path, held)
        if not allowed and not path.startswith("/v1/messages"):
            assert answer.error["code"] == "missing_scope"


async def test_without_a_good_key_no_route_but_the_open_ones_answers() -> None:
    """No key, a wrong one, one that was revoked and one that has ended: 401, and nothing of Hearth's own state is cached."""
    ended = Admission(Caller("key_ended", ALL), 1.0)
    created = CreatedKeys(
        (b"pepper",), {digest_of(b"ended", b"pepper"): ended}, {"key_revoked": Caller("key_revoked", ALL)}, True
    )
    app = bare_app(AccessPolicy(Keys((), created=created)))
    for (method, path), scopes in SCOPES.items():
        for key in (None, "wrong", "revoked", "ended"):
            app.wrong_keys = WrongKeys(time.monotonic)
            sent = [("content-type", "application/json"), *([("x-api-key", key)] if key else [])]
            answer = await asked(app, method, path, sent)
            assert answer.status == (401 if scopes else 200), (method, path, key)
            if path.startswith("/hearth/"):
                assert (
                    answer.header("cache-control") == "no-store"
                    and answer.header("x-content-type-options") == "nosniff"
                )


async def test_a_generating_route_asks_for_its_scope_in_its_own_dialect() -> None:
    """Before the body is read."""
    app = bare_app(AccessPolicy(Granting(["any"])))
    answer = await asked(app, "POST", "/v1/messages", [("x-api-key", "read")], body=())
    assert answer.status == 403 and b'"type":"error"' in answer.body.replace(b" ", b"")


def test_a_route_without_a_scope_is_a_fault_of_ours() -> None:
    """The application does not start with a route that has no scope."""
    with pytest.raises(ValueError, match="/new"):
        bare_app(AccessPolicy(Keys(())), {("GET", "/new"): _fine})


async def _fine(request: ClientRequest, extra: Pairs) -> None:
    await request.answer_json(200, {}, extra)


async def test_methods_of_a_path() -> None:
    """A wrong one is a 405 with those that are right; HEAD goes where GET does; OPTIONS says them without a key."""
    app = bare_app(AccessPolicy(Keys(["k"])))
    key = [("x-api-key", "k")]
    wrong = await asked(app, "PATCH", "/v1/responses/resp_1", key)
    assert (wrong.status, wrong.header("allow")) == (405, "DELETE, GET, HEAD, OPTIONS, POST")
    assert (await asked(app, "HEAD", "/v1/messages", key)).header("allow") == "OPTIONS, POST"
    head = await asked(app, "HEAD", "/v1/models", key)
    assert (head.status, head.body) == (200, b"") and int(head.header("content-length") or 0) > 0
    free = await asked(app, "OPTIONS", "/v1/responses")
    assert (free.status, free.header("allow")) == (204, "OPTIONS, POST")
    assert (await asked(app, "OPTIONS", "*")).status == 204


@pytest.mark.parametrize(
    ("path", "headers", "anthropic"),
    [
        ("/v1/messages/nothing", [], True),
        ("/v1/models/x/y", [("anthropic-version", "2023-06-01")], True),
        ("/v1/models", [], False),
        ("/v1/nothing", [], False),
        ("/", [], False),
    ],
)
async def test_unknown_places_answer_in_the_client_s_dialect(path: str, headers: Any, anthropic: bool) -> None:
    """An SDK reads every error of its own wire."""
    answer = await asked(bare_app(AccessPolicy(Keys(["k"]))), "DELETE", path, [*headers, ("x-api-key", "k")])
    assert answer.status in (404, 405) and (b'"request_id"' in answer.body or not anthropic)
    assert (b'{"type":"error"' in answer.body.replace(b" ", b"")) is anthropic


@pytest.mark.parametrize(
    ("asked_for", "shown"),
    [("mine", "mine"), ("", None), ("a b", None), ("x" * 129, None), ("caf\xe9", None), ("a\tb", None)],
)
async def test_a_request_id_of_the_client_is_checked(asked_for: str, shown: str | None) -> None:
    """Printable ASCII and at most 128 characters; else the decision's id takes its place."""
    answer = await asked(bare_app(AccessPolicy(Keys(()))), "GET", "/health/live", [("x-request-id", asked_for)])
    assert answer.header("x-request-id") == (shown or "dec_1")


PROMPT = "the secret prompt"


async def test_whatever_a_page_raises_is_an_error_in_the_client_s_dialect(caplog: pytest.LogCaptureFixture) -> None:
    """500 `internal_error`; the log has the line of code and nothing of the request."""

    async def page(request: ClientRequest, extra: Pairs) -> None:
        body = await request.body(1000)
        raise KeyError(body, request.headers)

    app = bare_app(
        AccessPolicy(Keys(())), {("POST", "/v1/responses"): page, ("POST", "/v1/messages/count_tokens"): page}
    )
    headers = [("host", "localhost"), ("x-secret", PROMPT)]
    answer = await asked(app, "POST", "/v1/responses", headers, body=[PROMPT.encode()])
    assert (answer.status, answer.error["code"]) == (500, "internal_error") and answer.ended
    other = await asked(app, "POST", "/v1/messages/count_tokens", headers, body=[PROMPT.encode()])
    assert other.status == 500 and b'"type":"error"' in other.body.replace(b" ", b"")
    assert "raise KeyError(body, request.headers)" in caplog.text and PROMPT not in caplog.text
    assert app.tasks == set()


async def test_an_answer_that_has_begun_is_cut_and_not_finished() -> None:
    """Nothing is added to it: the client sees that it is not whole."""

    async def page(request: ClientRequest, extra: Pairs) -> None:
        await request.start(200, [JSON])
        raise ValueError

    answer = await asked(bare_app(AccessPolicy(Keys(())), {("GET", "/metrics"): page}), "GET", "/metrics")
    assert (answer.status, answer.body, answer.ended) == (200, b"", False)


async def test_a_page_cut_by_the_drain_is_a_503() -> None:
    """The task ends with an answer."""
    reached = asyncio.Event()

    async def page(request: ClientRequest, extra: Pairs) -> None:
        reached.set()
        await asyncio.Event().wait()

    app = bare_app(AccessPolicy(Keys(())), {("GET", "/metrics"): page})
    asking = asyncio.create_task(asked(app, "GET", "/metrics"))
    await reached.wait()
    for task in list(app.tasks):
        task.cancel()
    answer = await asking
    assert (answer.status, answer.error["code"]) == (503, "shutting_down")


async def test_a_client_that_hung_up_gets_nothing() -> None:
    """And leaves no task."""

    async def page(request: ClientRequest, extra: Pairs) -> None:
        raise ClientGone

    app = bare_app(AccessPolicy(Keys(())), {("GET", "/metrics"): page})
    assert (await asked(app, "GET", "/metrics")).status == 0 and app.tasks == set()


async def test_a_header_that_cannot_be_sent_is_mended() -> None:
    """Line ends and control characters become question marks, and a long value is cut: the answer still leaves."""

    async def page(request: ClientRequest, extra: Pairs) -> None:
        await request.answer(200, b"", [(b"x-a", b"one\r\ntwo\x00"), (b"x-b", b"y" * 9000), (b"x-c", "é".encode())])

    answer = await asked(bare_app(AccessPolicy(Keys(())), {("GET", "/metrics"): page}), "GET", "/metrics")
    assert answer.header("x-a") == "one??two?" and len(answer.header("x-b") or "") == 4096
    assert (answer.header("x-c") or "").encode("latin-1").decode() == "é"


async def test_one_line_a_request(caplog: pytest.LogCaptureFixture) -> None:
    """Method, path without query, status, bytes, caller; nothing of a key or a body, and none unless asked for."""
    app = bare_app(AccessPolicy(Keys(["sk-secret"])))
    headers = [("x-api-key", "sk-secret")]
    await asked(app, "GET", "/v1/models", headers)
    assert not [record for record in caplog.records if record.name == access_log.LOGGER]
    with caplog.at_level(logging.INFO, access_log.LOGGER):
        await asked(app, "GET", "/v1/models", headers)
        await asked(app, "GET", "/nowhere", headers)
    lines = [record for record in caplog.records if record.name == access_log.LOGGER]
    fields = lines[0].__dict__["fields"]
    assert (fields["method"], fields["path"], fields["status"]) == ("GET", "/v1/models", 200)
    assert fields["bytes"] > 0 and len(fields["caller"]) == 8 and "sk-secret" not in caplog.text
    assert lines[1].getMessage().startswith("GET /nowhere 404 ")
