"""Bodies that continue a stored response, and the items of other models in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.dialects.openai_responses import conversation
from runtime.dialects.openai_responses.conversation import StoredResponse, stored_response
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.openai_responses.signatures import Carried, write_foreign
from runtime.wire.raw_body import BadBody, RawBody
from tests.runtime.dialects.openai_responses.answers import CALLS, TEXT, THOUGHT, dialect, written


def raw(**members: Any) -> RawBody:
    return RawBody(json.dumps({"model": "auto", **members}).encode())


def sent(by: ResponsesDialect, body: RawBody, model: str = "m") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(by.passing(body, model).body)
    return found


def test_only_the_model_changes() -> None:
    """Spacing, order and unknown members stay; hints are taken out."""
    body = RawBody(b'{ "input":"x" , "hearth": {"priority":"batch"}, "model":"auto", "new": 1.50 }')
    assert dialect().passing(body, "m").body == b'{ "input":"x" , "model":"m", "new": 1.50 }'


def test_a_resumed_body_holds_the_whole_conversation() -> None:
    """Earlier turns first, byte by byte; `previous_response_id` is gone."""
    first = raw(input="Hi", store=True)
    answer = written(TEXT, stream=False)
    stored = stored_response(first, answer)
    assert stored is not None
    second = raw(previous_response_id=stored.id, input=[{"role": "user", "content": "And?"}], temperature=1)
    body = conversation.resumed(second, (*stored.given, *stored.output))
    assert body.data["input"] == [
        {"role": "user", "content": "Hi"},
        *json.loads(answer)["output"],
        {"role": "user", "content": "And?"},
    ]
    assert set(body.data) == {"model", "input", "temperature"}
    assert stored.output[0] in body.raw
    assert len(dialect().read_request(body).messages) == 3


def test_the_prefix_of_a_conversation_stays_the_same() -> None:
    """In every turn, so that prompt caches hit."""
    items = (b'{"role":"user",  "content":"a"}', b'{"role":"assistant","content":"b"}')
    one = conversation.resumed(raw(previous_response_id="r", input="c"), items)
    two = conversation.resumed(raw(previous_response_id="r", input="d"), (*items, b'{"role":"user","content":"c"}'))
    head = one.value("input")[: one.value("input").index(b',{"role":"user","content":"c"}')]
    assert two.value("input").startswith(head)


def test_references_are_resolved() -> None:
    """An item replaces its reference; one that the history contains already is not repeated."""
    body = raw(input=[{"type": "item_reference", "id": "a"}, {"id": "b"}, {"role": "user", "content": "x"}])
    assert conversation.references(body) == ("a", "b")
    history = (b'{"id":"b","role":"assistant","content":"y"}',)
    own = conversation.resolved(body, history, {"a": b'{"id":"a","role":"user","n":1}'})
    assert [item.get("id") for item in own.data["input"]] == ["a", None]
    assert [item.get("id") for item in conversation.resumed(own, history).data["input"]] == ["b", "a", None]
    unknown = conversation.resolved(body, (), {})
    assert unknown.data["input"] == body.data["input"]


def test_an_unknown_predecessor_has_openais_own_code() -> None:
    """On which clients send the whole conversation instead."""
    error = conversation.not_found("resp_1")
    assert "resp_1" in error.message
    assert (error.status, error.code, error.param) == (400, "previous_response_not_found", "previous_response_id")
    assert conversation.missing("resp_1").status == 404
    with pytest.raises(BadBody):
        conversation.previous_of(raw(input="x", previous_response_id=5))


def test_a_client_decides_what_is_stored() -> None:
    """`store: false` stores nothing, `true` allows the disk, and an absent `store` allows memory alone."""
    answer = written(TEXT, stream=False)
    assert stored_response(raw(input="x", store=False), answer) is None
    assert stored_response(raw(input="x"), b"{}") is None
    asked, unasked = stored_response(raw(input="x", store=True), answer), stored_response(raw(input="x"), answer)
    assert asked is not None and asked.durable
    assert unasked is not None and not unasked.durable


def test_what_demands_certificates_is_not_durable() -> None:
    """This box's disk has none, whatever the client says of `store`."""
    stored = stored_response(raw(input="x", store=True), written(TEXT, stream=False), frozenset({"hipaa"}))
    assert stored is not None and not stored.durable and stored.requires == {"hipaa"}


def test_foreign_items_are_never_sent() -> None:
    """No model of this wire could read them; every other item stays as it was written."""
    foreign = {
        "type": "reasoning",
        "id": "rs",
        "summary": [],
        "encrypted_content": write_foreign(Carried(signature="s")),
    }
    kept = [{"role": "user", "content": "a"}, {"type": "reasoning", "id": "rs_2", "encrypted_content": "gAAA"}]
    assert sent(dialect(), raw(input=[foreign, *kept]))["input"] == kept


def test_reasoning_of_another_model_is_not_sent() -> None:
    """It is left out for other models, as are the ids of its other items; for the model itself nothing changes."""
    by = dialect()
    answer = written(THOUGHT, stream=False, by=dialect())
    thought = json.loads(answer)["output"]
    thought[0]["encrypted_content"] = "gAAA"
    body = json.dumps(json.loads(answer) | {"output": thought}).encode()
    meter = by.passing(raw(input="x"), "one").meter
    meter.feed(body)
    meter.end()
    again = raw(input=[*thought, {"role": "user", "content": "y"}])
    assert sent(by, again, "one")["input"] == again.data["input"]
    other = sent(by, again, "two")["input"]
    assert [item.get("type") for item in other] == ["message", None]
    assert all("id" not in item for item in other)


def test_the_items_of_a_translated_answer_can_be_sent() -> None:
    """A call of another wire's model and its result are sent to a model of this wire, without their ids."""
    by = dialect()
    items = json.loads(written(CALLS, stream=False, by=by))["output"]
    results = [{"type": "function_call_output", "call_id": item["call_id"], "output": "x"} for item in items[2:]]
    found = sent(by, raw(input=[*items, *results]))["input"]
    assert [item["type"] for item in found] == ["message", *["function_call"] * 3, *["function_call_output"] * 3]
    assert not any("id" in item for item in found)


def test_translated_items_are_recognised() -> None:
    """Even by a runtime that did not translate them: no server of this wire stored their ids."""
    items = json.loads(written(THOUGHT, stream=False, by=ResponsesDialect()))["output"]
    items[0]["encrypted_content"] = None
    assert all("id" not in item for item in sent(ResponsesDialect(), raw(input=items))["input"])
    assert [item["type"] for item in sent(ResponsesDialect(), raw(input=items))["input"]] == ["message"]


def test_stored_items_are_found_by_their_ids() -> None:
    """Of the input and of the output; what only refers to an item is none."""
    response = json.dumps({"id": "resp_1", "output": [{"id": "msg_1"}]}).encode()
    stored = StoredResponse(
        "resp_1", None, b'[{"id":"in_1","type":"message"},{"id":"msg_0"},{"role":"user"}]', response
    )
    assert set(stored.items) == {"in_1", "msg_1"}
