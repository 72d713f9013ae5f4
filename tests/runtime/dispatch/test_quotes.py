"""Messages of upstreams that repeat a prompt are found, whatever wire it is in; others are kept."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.contract.failures import Disposition, Failure, Kind
from runtime.dispatch.quotes import QUOTING, quotes, unquoting

TEXT = "The patient Anna Muster was treated on Tuesday."
BODIES: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": TEXT}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]},
    {"input": TEXT},
    {"input": [{"type": "function_call_output", "output": TEXT}]},
    {"prompt": ["x", TEXT]},
    {"system": [{"type": "text", "text": TEXT}], "messages": []},
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "message",
    [f"invalid prompt: {TEXT}", f"{TEXT[3:30]}: refused", f"… {TEXT[-20:]}", f'{{"content": "{TEXT}"}}', TEXT[7:27]],
)
def test_a_quote_is_found(body: dict[str, Any], message: str) -> None:
    """The whole of it or a part."""
    assert quotes(message, body)
    kept = unquoting(Failure(Kind.REJECTED, Disposition.TELL_CALLER, message, body=message.encode()), body)
    assert (kept.message, kept.body) == (QUOTING, b"")


@pytest.mark.parametrize("body", [*BODIES, {"model": "claude-sonnet-5-5-20261101", "max_completion_tokens": 5}])
@pytest.mark.parametrize(
    "message",
    [
        "",
        "HTTP 500: no",
        "Unsupported parameter: 'max_completion_tokens' is not supported with claude-sonnet-5-5-20261101",
        "messages.0.content.0.text: field required for a user",
    ],
)
def test_other_words_are_kept(body: dict[str, Any], message: str) -> None:
    """Names of members and models are no prompt."""
    assert not quotes(message, body)


def test_short_prompts_are_found_whole() -> None:
    assert quotes("cannot answer 'hi Anna'", {"messages": [{"role": "user", "content": "hi Anna"}]})
