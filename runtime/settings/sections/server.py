"""[server]: addresses, keys, limits and logs of the door."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runtime.settings.kinds import Hosts, Origins, Positive, Prefix, Proxies, References, Seconds, Text, Wait
from runtime.settings.sections.section import Section


class Server(Section):
    """The door: where Hearth listens and who may come in."""

    host: Text = Field(
        default="127.0.0.1",
        description="address to listen on; another than this machine's own needs keys, configured or created",
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(default=8000, description="0 takes any free port")
    hosts: Hosts = Field(
        default=(),
        description="other names it is reached by while there are no keys",
        examples=[["hearth.internal"]],
    )
    keys: References = Field(
        default=(),
        description="keys clients must show, by reference: env:NAME or file:PATH; an empty one refuses to start",
        examples=[["env:HEARTH_API_KEY"]],
    )
    admin_keys: References = Field(
        default=(),
        description="keys that may also change things and read logs and settings",
        examples=[["env:HEARTH_ADMIN_KEY"]],
    )
    cors: Origins = Field(
        default=(),
        description="origins whose pages may call the endpoint from a browser; none: same origin only",
        examples=[["https://app.example.com"]],
    )
    max_body_mb: Positive = Field(default=32, description="largest request accepted, in MB; media travel inside it")
    drain: Wait = Field(default=30.0, description="seconds that open answers get to finish when Hearth stops")
    socket: str = Field(default="", description="path of a Unix socket to listen on instead of host and port")
    path_prefix: Prefix = Field(default="", description="path below which a reverse proxy shows Hearth, like /hearth")
    trusted_proxies: Proxies = Field(
        default=(),
        description='proxies whose forwarding headers are believed: addresses, networks, or "unix"',
        examples=[["10.0.0.0/8"]],
    )
    max_connections: Positive = Field(default=10_000, description="open connections; further ones are refused")
    max_head_kb: Positive = Field(default=64, description="largest request head, in kB")
    head_timeout: Seconds = Field(default=15.0, description="seconds until a request's head is complete")
    body_timeout: Seconds = Field(default=60.0, description="seconds between two pieces of a request's body")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="debug | info | warning | error"
    )
    log_format: Literal["text", "json"] = Field(default="text", description="text | json (one object a line)")
    access_log: bool = Field(default=False, description="log one line for each request")
