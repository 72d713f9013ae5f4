"""Bodies kept as written: spans, splices, duplicates."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.wire.raw_body import BadBody, RawBody

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_replaced_member_leaves_every_other_byte_alone() -> None:
    """Spacing, key order and number spelling survive a splice."""
    raw = b'{ "temperature" : 1.0e0,\n "model":"gpt-4o" ,"x": [1, 2] }'
    assert RawBody(raw).spliced({"model": b'"m"'}) == raw.replace(b'"gpt-4o"', b'"m"')


def test_a_dropped_member_takes_one_comma_with_it() -> None:
    """First, middle, last and only members can go."""
    for raw in (b'{"h":1,"a":2}', b'{"a":2,"h":1,"b":3}', b'{"a":2,"h":1}', b'{"h":1}', b'{ "h" : {"h":1} }'):
        kept = {k: v for k, v in json.loads(raw).items() if k != "h"}
        assert json.loads(RawBody(raw).spliced({}, ("h",))) == kept


def test_an_added_member_comes_last() -> None:
    """A body without the member gets it at its end, an empty body too."""
    assert RawBody(b'{"a":1}').spliced({"b": b"2"}) == b'{"a":1,"b":2}'
    assert RawBody(b"{}").spliced({"b": b"2"}) == b'{"b":2}'
    assert RawBody(b'{"h":1}').spliced({"b": b"2"}, ("h",)) == b'{"b":2}'


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":12,"a":1}',
        b'{"a":1,"b":2,"a":3}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":[1],"b":1,"b":2}',
        b'{"a":1,"a":{"b":1},"c":2}',
    ],
)
def test_a_member_given_twice_is_refused_with_its_name(raw: bytes) -> None:
    """What one parser reads differently from another never reaches a model."""
    with pytest.raises(BadBody) as caught:
        RawBody(raw)
    assert caught.value.place in ("a", "b")


@pytest.mark.parametrize(
    "raw", [b"", b"[1]", b'{"a":}', b'{"a":1}x', b'{"a":"\xff"}', b'{"a":NaN}', b"[" * 5000, b'{"a":"\\ud800"}']
)
def test_what_is_not_an_object_is_refused(raw: bytes) -> None:
    """Every malformed body ends as BadBody, never as another exception."""
    with pytest.raises(BadBody):
        RawBody(raw)


WRITTEN = [(None, (",", ":")), (None, (", ", ": ")), (1, (",", ": ")), (None, (" ,", " :"))]


@given(st.dictionaries(st.text(), JSON, max_size=5), st.sampled_from(WRITTEN), st.booleans())
def test_any_object_keeps_its_meaning_under_splices(
    value: dict[str, object], written: tuple[int | None, tuple[str, str]], ascii_: bool
) -> None:
    """Replacing, adding and dropping mean what they say on any object, however it is spaced."""
    indent, separators = written
    text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=ascii_)
    raw = text.encode("utf-8", "surrogatepass")
    try:
        body = RawBody(raw)
    except BadBody:
        return  # lone surrogates are no JSON text
    assert body.raw == raw and body.spliced({}) == raw
    assert {name: json.loads(body.value(name)) for name in value} == value
    drop = tuple(value)[:2]
    expected = {k: v for k, v in value.items() if k not in drop} | {"model": "m"}
    assert json.loads(body.spliced({"model": b'"m"'}, tuple(d for d in drop if d != "model"))) == (
        expected
        if "model" not in drop
        else {k: v for k, v in value.items() if k not in drop or k == "model"} | {"model": "m"}
    )
