"""The codec of the Messages wire: addresses, headers, requests, answers, verdicts. Authorization belongs to the account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from cloud.anthropic import faults
from cloud.anthropic.fitting import fitted_body
from cloud.anthropic.names import API_VERSION, COUNTING, WIRE
from cloud.anthropic.pauses import PausingCall
from cloud.anthropic.read_answer import ClaudeAnswerReader
from cloud.anthropic.write_request import write_request
from runtime.contract.codec import AS_IT_IS, Decoder, Encoded, Fit, Unsupported
from runtime.contract.failures import Failure
from runtime.contract.hop import HttpCall
from runtime.contract.messages import Request
from runtime.contract.targets import Target

AUTHORIZATION = "x-api-key"  # the header of the key

PATHS = {
    WIRE: "/v1/messages",
    COUNTING: "/v1/messages/count_tokens",
}
_JSON = ("content-type", "application/json")
_VERSION, _BETA = "anthropic-version", "anthropic-beta"
_MOST_VALUE = 4096  # characters of a header that is passed through


class AnthropicCodec:
    """`runtime.contract.codec.Codec`.

    now: dates a Retry-After given as a date. version: the API version of every translated call; None: the newest, or the
    last with sampling parameters where a request has some and the model takes them.
    """

    def __init__(self, now: Callable[[], datetime], version: str | None = None) -> None:
        self._now = now
        self._version = version

    def path(self, dialect: str) -> str:
        return PATHS[dialect]

    def encode(self, request: Request, target: Target) -> Encoded:
        try:
            written = write_request(request, target, self._version)
        except RecursionError as error:
            raise Unsupported("the request is nested too deeply") from error
        betas = ((_BETA, written.betas),) if written.betas else ()
        headers = (_JSON, (_VERSION, written.version), *betas)
        call = PausingCall if written.pauses else HttpCall
        return Encoded(call(PATHS[WIRE], written.body, headers), written.dropped)

    def decoder(self, request: Request) -> Decoder:
        return ClaudeAnswerReader(request, self._now)

    def fit(self, dialect: str, body: Mapping[str, Any], target: Target, *, pinned: bool) -> Fit:
        """The changes of `fitted_body` for a body that was not sent to this target by name."""
        return AS_IT_IS if pinned else fitted_body(body, target.capabilities)

    def headers(self, client: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """The version and the betas that the client wrote its body for. A value that no header can hold is dropped."""
        fit = {}
        for name in (_VERSION, _BETA):
            value = client.get(name, "")
            if 0 < len(value) <= _MOST_VALUE and value.isascii() and value.isprintable():
                fit[name] = value
        version = fit.get(_VERSION) or self._version or API_VERSION
        return ((_VERSION, version), *(((_BETA, fit[_BETA]),) if _BETA in fit else ()))

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return faults.classify(status, headers, body, self._now)
