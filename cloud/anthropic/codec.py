"""The Messages wire as a codec: addresses, headers, requests, answers, verdicts. Authorization is the account's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from cloud.anthropic import faults
from cloud.anthropic.names import API_VERSION, WIRE
from cloud.anthropic.pauses import PausingCall
from cloud.anthropic.read_answer import AnswerDecoder
from cloud.anthropic.write_request import encode
from runtime.contract.codec import Decoder, Encoded
from runtime.contract.failures import Failure
from runtime.contract.hop import HttpCall
from runtime.contract.messages import Request
from runtime.contract.targets import Target

AUTHORIZATION = "x-api-key"  # the header a key goes into

PATHS = {
    WIRE: "/v1/messages",
    "anthropic_count_tokens": "/v1/messages/count_tokens",
}
_JSON = ("content-type", "application/json")
_VERSION, _BETA = "anthropic-version", "anthropic-beta"


class AnthropicCodec:
    """`runtime.contract.codec.Codec`.

    now: dates a Retry-After given as a date. version: the API version of every translated call; None: the newest, and the
    last that takes sampling parameters where they must reach a model that takes them.
    """

    def __init__(self, now: Callable[[], datetime], version: str | None = None) -> None:
        self._now = now
        self._version = version

    def path(self, dialect: str) -> str:
        return PATHS[dialect]

    def encode(self, request: Request, target: Target) -> Encoded:
        written = encode(request, target, self._version)
        betas = ((_BETA, written.betas),) if written.betas else ()
        headers = (_JSON, (_VERSION, written.version), *betas)
        call = PausingCall if written.pauses else HttpCall
        return Encoded(call(PATHS[WIRE], written.body, headers), written.dropped)

    def decoder(self, request: Request) -> Decoder:
        return AnswerDecoder(request, self._now)

    def headers(self, client: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """A client's bytes go up under the version and the betas they were written for."""
        version = client.get(_VERSION) or self._version or API_VERSION
        betas = client.get(_BETA)
        return ((_VERSION, version), *(((_BETA, betas),) if betas else ()))

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return faults.classify(status, headers, body, self._now)
