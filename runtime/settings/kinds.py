"""The kinds of value a setting can hold, each with its bounds and the words it refuses with. Knows no setting."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from runtime.settings.secret import Secret, reference

Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
Wait = Annotated[float, Field(ge=0)]  # seconds; 0: not at all
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Dollars = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]

# Lists are kept as tuples: frozen, whole, in order.
Names = Annotated[tuple[Text, ...], Field(strict=False)]
Reference = Annotated[Secret, PlainValidator(reference), PlainSerializer(str)]
References = Annotated[tuple[Reference, ...], Field(strict=False)]

Modality = Literal["text", "image", "audio", "video", "pdf"]
Modalities = Annotated[tuple[Modality, ...], Field(strict=False, min_length=1)]

_CERTIFICATE = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def _certificates(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _CERTIFICATE.fullmatch(name):
            raise ValueError(f'"{name}" is no certificate: lower-case letters, digits, "-", "_" and ".", as in "hipaa"')
    return names


Certificates = Annotated[Names, AfterValidator(_certificates)]


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


def _auto_or_positive(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if value == "auto" or whole:
        return value
    raise ValueError('must be "auto" or a whole number above 0')


AutoLength = Annotated[Literal["auto"] | int, PlainValidator(_auto_or_positive)]


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


def _prefix(text: str) -> str:
    """A path with no slash at its end."""
    if text and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/?", text):
        raise ValueError('must be a path like "/hearth", or empty')
    return text.rstrip("/")


Prefix = Annotated[str, AfterValidator(_prefix)]


def _none_or_dollars(value: Any) -> Any:
    if value is None or value == "none":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise ValueError('must be a number of dollars, 0 or more, or "none" for no limit')


Limit = Annotated[float | None, PlainValidator(_none_or_dollars)]


def _two_letters(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2}", text):
        raise ValueError('must be the two letters of a language, as in "de"')
    return text.lower()


Language = Annotated[str, AfterValidator(_two_letters)]
Task = Literal["code", "extraction", "math", "chat"]
