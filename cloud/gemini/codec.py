"""The generateContent wire as a codec: addresses, requests, answers, verdicts. Authorization is the account's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from secrets import token_hex

from cloud.gemini import faults
from cloud.gemini.names import API_VERSION, WIRE, path
from cloud.gemini.read_answer import AnswerDecoder
from cloud.gemini.write_request import encode
from runtime.contract.codec import Decoder, Encoded
from runtime.contract.failures import Failure
from runtime.contract.messages import Request
from runtime.contract.targets import Target

AUTHORIZATION = "x-goog-api-key"  # the header a key goes into


class GeminiCodec:
    """`runtime.contract.codec.Codec`.

    version: the API version of every call. draw: randomness for the ids of calls that come without one.
    """

    def __init__(self, version: str | None = None, draw: Callable[[], str] = token_hex) -> None:
        self._version = version or API_VERSION
        self._draw = draw

    def path(self, dialect: str) -> str:
        """With `{model}` for the model's id. No client's dialect is spoken here."""
        if dialect != WIRE:
            raise KeyError(dialect)
        return path("MODEL", self._version).replace("MODEL", "{model}")

    def encode(self, request: Request, target: Target) -> Encoded:
        return encode(request, target, self._version)

    def decoder(self, request: Request) -> Decoder:
        seed = self._draw()
        return AnswerDecoder(lambda place: f"call_{hashlib.sha256(f'{seed} {place}'.encode()).hexdigest()[:24]}")

    def headers(self, client: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Nothing of a client passes through."""
        return ()

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return faults.classify(status, headers, body)
