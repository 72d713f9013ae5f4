"""The codec of the generateContent wire: addresses, requests, answers, verdicts. Authorization belongs to the account."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any

from cloud.gemini import faults
from cloud.gemini.names import API_VERSION, WIRE, path
from cloud.gemini.read_answer import GeminiAnswerReader
from cloud.gemini.write_request import write_request
from runtime.contract.codec import AS_IT_IS, Decoder, Encoded, Fit, Unsupported
from runtime.contract.failures import Failure
from runtime.contract.messages import Request
from runtime.contract.targets import Target

AUTHORIZATION = "x-goog-api-key"  # the header of the key


class GeminiCodec:
    """`runtime.contract.codec.Codec`.

    version: the API version of every call. draw: randomness for the ids of tool calls that have none.
    """

    def __init__(self, version: str | None = None, draw: Callable[[], str] = token_hex) -> None:
        self._version = version or API_VERSION
        self._draw = draw

    def path(self, dialect: str) -> str:
        """With `{model}` in place of the model's id. No client speaks this wire."""
        if dialect != WIRE:
            raise KeyError(dialect)
        return path("MODEL", self._version).replace("MODEL", "{model}")

    def encode(self, request: Request, target: Target) -> Encoded:
        try:
            return write_request(request, target, self._version)
        except RecursionError as error:
            raise Unsupported("the request is nested too deeply") from error

    def decoder(self, request: Request) -> Decoder:
        seed = self._draw()
        return GeminiAnswerReader(lambda place: f"call_{hashlib.sha256(f'{seed} {place}'.encode()).hexdigest()[:24]}")

    def fit(self, dialect: str, body: Mapping[str, Any], target: Target, *, pinned: bool) -> Fit:
        return AS_IT_IS

    def headers(self, client: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """None: no client's bytes pass through."""
        return ()

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return faults.classify(status, headers, body)
