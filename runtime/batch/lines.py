"""The shape of a batch's lines, checked. Pure.

An input file is refused whole, with every faulty line named, before anything of it runs: a batch that stops half-way is
worth less than one that never began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from runtime.batch.values import ENDPOINTS, BatchLine, LineError

MOST_ERRORS = 100  # named of one file
_LONGEST_ID = 512
_LONGEST_LINE = 16 << 20
_MARK = b"\xef\xbb\xbf"  # some editors begin a file with it


class Refused(Exception):
    """The input cannot become a batch."""

    def __init__(self, errors: tuple[LineError, ...]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class _Wanted(msgspec.Struct):
    custom_id: str
    url: str
    body: msgspec.Raw
    method: str = "POST"


class _Request(msgspec.Struct):
    custom_id: str
    params: msgspec.Raw


_wanted = msgspec.json.Decoder(_Wanted)
_requests = msgspec.json.Decoder(dict[str, msgspec.Raw])
_listed = msgspec.json.Decoder(list[msgspec.Raw])
_request = msgspec.json.Decoder(_Request)
_object = msgspec.json.Decoder(dict[str, Any])


def read_file(lines: Iterable[bytes], endpoint: str, most: int) -> Iterator[BatchLine]:
    """The requests of an OpenAI input file, one JSON object a line. most: lines. Raises Refused at the end, or early
    once a hundred lines are faulty.
    """
    errors: list[LineError] = []
    seen: set[str] = set()
    number = 0
    for place, raw in enumerate(lines, start=1):
        text = (raw.removeprefix(_MARK) if place == 1 else raw).strip()
        if not text:
            continue
        if number >= most:
            errors.append(LineError("too_many_tasks", f"a batch takes at most {most} requests (batch.max_requests)"))
            break
        fault = None
        try:
            if len(text) > _LONGEST_LINE:
                raise ValueError(f"the line is longer than {_LONGEST_LINE >> 20} MB")
            wanted = _wanted.decode(text)
            _object.decode(wanted.body)
        except (ValueError, RecursionError) as error:
            errors.append(LineError("invalid_json_line", f"this is not a request: {error}", place))
        else:
            fault = _fault(wanted, endpoint, seen)
            if fault is not None:
                errors.append(LineError(fault[0], fault[1], place, fault[2]))
            elif not errors:
                yield BatchLine(number, wanted.custom_id, bytes(wanted.body))
            seen.add(wanted.custom_id)
            number += 1
        if len(errors) >= MOST_ERRORS:
            break
    if not number and not errors:
        errors.append(LineError("empty_file", "the file holds no request"))
    if errors:
        raise Refused(tuple(errors))


def _fault(wanted: _Wanted, endpoint: str, seen: set[str]) -> tuple[str, str, str] | None:
    """Code, words and member of what is wrong with a line that is an object."""
    if not 0 < len(wanted.custom_id) <= _LONGEST_ID:
        return "invalid_custom_id", f"custom_id must have 1 to {_LONGEST_ID} characters", "custom_id"
    if wanted.custom_id in seen:
        return "duplicate_custom_id", f"custom_id {wanted.custom_id[:100]!r} stands on another line too", "custom_id"
    if wanted.method.upper() != "POST":
        return "invalid_method", "method must be POST", "method"
    if wanted.url != endpoint:
        words = f"the batch is for {endpoint}, this line for {wanted.url[:100]!r}"
        return "mismatched_endpoint", words, "url"
    return None


def read_requests(body: bytes, most: int) -> list[BatchLine]:
    """The requests of `POST /v1/messages/batches`. Raises Refused."""
    try:
        listed = _listed.decode(_requests.decode(body)["requests"])
    except KeyError:
        raise _refusal("'requests' is missing", "requests") from None
    except (ValueError, RecursionError) as error:
        raise _refusal(f"the body is not a list of requests: {error}", "requests") from error
    if not listed:
        raise _refusal("'requests' is empty", "requests")
    if len(listed) > most:
        raise _refusal(f"a batch takes at most {most} requests (batch.max_requests)", "requests")
    lines: list[BatchLine] = []
    seen: set[str] = set()
    for number, raw in enumerate(listed):
        place = f"requests.{number}"
        try:
            request = _request.decode(raw)
            _object.decode(request.params)
        except (ValueError, RecursionError) as error:
            raise _refusal(f"{place}: {error}", place) from error
        if not 0 < len(request.custom_id) <= _LONGEST_ID:
            raise _refusal(f"{place}.custom_id must have 1 to {_LONGEST_ID} characters", f"{place}.custom_id")
        if request.custom_id in seen:
            raise _refusal(f"custom_id {request.custom_id[:100]!r} is used twice", f"{place}.custom_id")
        seen.add(request.custom_id)
        lines.append(BatchLine(number, request.custom_id, bytes(request.params)))
    return lines


def _refusal(words: str, place: str) -> Refused:
    return Refused((LineError("invalid_request", words, None, place),))


def check_endpoint(endpoint: object, paths: Mapping[str, object]) -> str | None:
    """The fault of an endpoint a batch is asked for; None if batches of it are served."""
    if isinstance(endpoint, str) and endpoint in ENDPOINTS and endpoint in paths:
        return None
    return f"endpoint must be one of {', '.join(each for each in ENDPOINTS if each in paths)}"
