"""The types of the settings' values, each with its bounds and its error message. Knows no setting."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_network
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from runtime.contract.guard import LOCAL_ONLY
from runtime.settings.secret import Secret, reference
from runtime.settings.spelling import nearest, percent

Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
Wait = Annotated[float, Field(ge=0)]  # seconds; 0: not at all
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Amount = Annotated[float, Field(ge=0)]
Dollars = Amount
Days = Annotated[int, Field(gt=0, le=36_500)]
Text = Annotated[str, Field(min_length=1)]
LoraRank = Literal[1, 8, 16, 32, 64, 128, 256, 320, 512]  # the values that vLLM takes

# Lists are kept as tuples: frozen, whole, in order.
Names = Annotated[tuple[Text, ...], Field(strict=False)]
Reference = Annotated[Secret, PlainValidator(reference), PlainSerializer(str)]
References = Annotated[tuple[Reference, ...], Field(strict=False)]

Modality = Literal["text", "image", "audio", "video", "pdf"]
Modalities = Annotated[tuple[Modality, ...], Field(strict=False, min_length=1)]


def _matching(pattern: str, words: str) -> AfterValidator:
    """Accepts text that matches the whole pattern; `words` is the error message, with the text in place of {}."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(words.format(json.dumps(text, ensure_ascii=False)))
        return text

    return AfterValidator(check)


_CERTIFICATE = _matching(
    r"[a-z0-9][a-z0-9_.-]*",
    '{} is no certificate: lower-case letters, digits, "-", "_" and ".", as in "hipaa"',
)
Certificates = Annotated[tuple[Annotated[Text, _CERTIFICATE], ...], Field(strict=False)]


def _certifiable(names: tuple[str, ...]) -> tuple[str, ...]:
    if LOCAL_ONLY in names:
        raise ValueError(f'"{LOCAL_ONLY}" means that nothing leaves this machine: nobody can be certified for it')
    return names


HeldCertificates = Annotated[Certificates, AfterValidator(_certifiable)]
"""Certificates that an account or a server has, as against those that are demanded."""


def _http_url(text: str) -> str:
    """The URL without a slash at its end."""
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or parts.query or parts.fragment:
        raise ValueError('must be an address like "http://HOST:PORT/v1"')
    if parts.username or parts.password:
        raise ValueError("an address holds no user and no password: give a key instead")
    return text.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url)]


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Urls = Annotated[tuple[Url, ...], Field(strict=False), BeforeValidator(_one_or_more)]


def _auto_or(fits: Callable[[Any], bool], words: str, *, share: bool = False) -> PlainValidator:
    """Accepts "auto", and every value that fits; `words` describes those. share: they are shares."""

    def check(value: Any) -> Any:
        if value == "auto" or fits(value):
            return value
        raise ValueError(f'must be "auto" or {words}{percent(value) if share else ""}')

    return PlainValidator(check)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


AutoLength = Annotated[Literal["auto"] | int, _auto_or(lambda n: _whole(n) and n > 0, "a whole number above 0")]
AutoCount = Annotated[Literal["auto"] | int, _auto_or(lambda n: _whole(n) and n >= 0, "a whole number, 0 or more")]
AutoShare = Annotated[
    Literal["auto"] | float, _auto_or(lambda n: _number(n) and 0 < n <= 1, "a number above 0, to 1", share=True)
]


def _gpus(value: Any) -> Any:
    """A list of GPU indices as a tuple."""
    if value == "auto":
        return value
    listed = isinstance(value, list | tuple) and value and all(_whole(index) and index >= 0 for index in value)
    if listed and len(set(value)) == len(value):
        return tuple(value)
    raise ValueError('must be "auto" or a list of GPU indices, each once, like [0, 1]')


AutoGpus = Annotated[Literal["auto"] | tuple[int, ...], PlainValidator(_gpus)]


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if text != "*" and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/")):
        raise ValueError('must be an origin like "https://app.example.com", or "*" for every one')
    return text.rstrip("/")


Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], Field(strict=False)]


def _proxy(text: str) -> str:
    try:
        if text != "unix":
            ip_network(text, strict=False)
    except ValueError:
        raise ValueError('must be an address, a network like "10.0.0.0/8", or "unix"') from None
    return text


Proxies = Annotated[tuple[Annotated[str, AfterValidator(_proxy)], ...], Field(strict=False)]


def _host(text: str) -> str:
    """A name as it stands in a Host header: without port and last dot, in lower case."""
    name = text.lower().rstrip(".")
    try:
        address = name.startswith("[") and name.endswith("]") and IPv6Address(name[1:-1]) is not None
    except ValueError:
        address = False
    if not address and not re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", name):
        raise ValueError('must be a host name alone, like "hearth.internal" or "[fd00::1]", with no scheme and no port')
    return name


Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], Field(strict=False)]


Prefix = Annotated[
    str,
    _matching(r"((/[A-Za-z0-9._~-]+)+/?)?", 'must be a path like "/hearth", or empty'),
    AfterValidator(lambda path: path.rstrip("/")),
]


def _none_or_dollars(value: Any) -> Any:
    if value is None or value == "none":
        return None
    if _number(value) and 0 <= value < float("inf"):
        return float(value)
    raise ValueError('must be a number of dollars, 0 or more, or "none" for no limit')


Limit = Annotated[float | None, PlainValidator(_none_or_dollars)]


Language = Annotated[
    str, _matching(r"[A-Za-z]{2}", 'must be the two letters of a language, as in "de"'), AfterValidator(str.lower)
]

Task = Literal["code", "extraction", "math", "chat", "summary", "document", "multimodal", "tool"]
Tasks = Annotated[tuple[Task, ...], Field(strict=False)]
TASKS: tuple[str, ...] = get_args(Task)
_DEFAULT = "default"


def _complexity(value: Any) -> Any:
    """One threshold, or one per task."""
    by_task = value if isinstance(value, Mapping) else {_DEFAULT: value}
    for task, threshold in by_task.items():
        if task not in (_DEFAULT, *TASKS):
            raise ValueError(f'"{task}" is no task: one of {_DEFAULT}, {", ".join(TASKS)}{nearest(task, TASKS)}')
        if not _number(threshold) or not 0 <= threshold <= 1:
            where = f"{task}: " if isinstance(value, Mapping) else ""
            words = "must be a number from 0 to 1, or a table of those by task"
            raise ValueError(f"{where}{words}{percent(threshold)}")
    return value


Complexity = Annotated[float | Mapping[str, float], PlainValidator(_complexity)]


def _zone(name: str) -> str:
    try:
        if name != "UTC":  # known even where the machine has no list of time zones
            ZoneInfo(name)
    except (ValueError, OSError):
        raise ValueError('must be a time zone, as in "UTC" or "Europe/Berlin"') from None
    except ZoneInfoNotFoundError:
        raise ValueError(f'unknown time zone "{name}": as in "UTC" or "Europe/Berlin"') from None
    return name


Zone = Annotated[str, AfterValidator(_zone)]


TimeOfDay = Annotated[str, _matching(r"([01][0-9]|2[0-3]):[0-5][0-9]", 'must be a time of day, as in "02:30"')]

# Empty text stands for "none" in these.
OptionalUrl = Annotated[str, AfterValidator(lambda text: _http_url(text) if text else "")]


def _webhook(text: str) -> str:
    """A webhook's URL as it is: a query and a slash at its end belong to it."""
    if text:
        _http_url(text.partition("?")[0])
    return text


OptionalWebhook = Annotated[str, AfterValidator(_webhook)]
OptionalReference = Annotated[
    Secret | None,
    PlainValidator(lambda value: None if value is None or value == "" else reference(value)),
    PlainSerializer(lambda secret: str(secret or "")),
]


def _peer(text: str) -> str:
    if text.startswith("dns:"):
        if not re.fullmatch(r"dns:[A-Za-z0-9._-]+(:[0-9]{1,5})?", text):
            raise ValueError('must be "dns:NAME:PORT" or an address like "http://HOST:PORT"')
        return text
    if "://" not in text:
        raise ValueError('must be an address like "http://HOST:PORT", or "dns:NAME:PORT"')
    address = _http_url(text)
    if address.endswith("/v1"):
        raise ValueError(f'must be the address of a Hearth, without /v1: "{address.removesuffix("/v1")}"')
    return address


Peers = Annotated[tuple[Annotated[str, AfterValidator(_peer)], ...], Field(strict=False), BeforeValidator(_one_or_more)]


HearthName = Annotated[
    str,
    _matching(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)?", "must be letters, digits and hyphens, at most 63"),
]


StoreUrl = Annotated[
    str,
    _matching(
        r"((valkey|redis)s?://[A-Za-z0-9._\[\]:-]+(/[0-9]+)?)?",
        'must be an address like "valkey://HOST:6379/0", without a user and password',
    ),
]
