"""The settings as frozen values: every section of the file, every key, its default, its bounds, and a sentence on it.

Names are the file's. Knows no file, no environment, no vendor, and not how sections must agree (`agree` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runtime.contract import targets as contract
from runtime.settings.kinds import (
    AutoLength,
    Certificates,
    Count,
    Dollars,
    Hosts,
    Language,
    Limit,
    Modalities,
    Names,
    Origins,
    Positive,
    PositiveShare,
    Prefix,
    Proxies,
    Reference,
    References,
    Seconds,
    Share,
    Task,
    Text,
    Url,
    Urls,
    Wait,
)

LOCAL = contract.LOCAL
AUTO = "auto"


class Section(BaseModel):
    """A table of the file. Strict: a number in quotes is none. Errors never show what was given: it may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class Server(Section):
    """The door: where Hearth listens and who may come in."""

    host: Text = Field(
        default="127.0.0.1", description="address to listen on; another than this machine's own needs keys"
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


class Engine(Section):
    """The vLLM server on this machine, started and watched by Hearth, or the running servers it attaches to."""

    model: Text = Field(default="smollm2-135m", description="name in the catalogue, hub id, or folder")
    device: Literal["auto", "cuda", "cpu"] = Field(default="auto", description="auto | cuda | cpu")
    replicas: Positive = Field(default=1, description="one vLLM per GPU group")
    max_model_len: AutoLength = Field(
        default="auto", description="context window in tokens; auto: the model's own, or what fits"
    )
    gpu_memory_utilization: PositiveShare = Field(default=0.9, description="share of the GPU's memory vLLM may take")
    args: Names = Field(default=(), description="handed to vLLM as they are", examples=[["--enable-prefix-caching"]])
    url: Urls = Field(
        default=(),
        description="attach to running servers of the OpenAI dialect instead of starting one: an address or a list",
        examples=[["http://127.0.0.1:8001/v1"]],
    )
    key: Reference | None = Field(
        default=None, description="key of the attached servers, by reference", examples=["env:ENGINE_API_KEY"]
    )
    certified: Certificates = Field(
        default=(), description="what attached servers on other machines are certified for", examples=[["hipaa"]]
    )
    python: Text | None = Field(
        default=None, description="the Python that has vLLM; left out: looked for", examples=["/opt/vllm/bin/python"]
    )
    offline: bool = Field(default=False, description="never ask the hub: use only weights that are here")
    start_timeout: Seconds = Field(default=1800.0, description="seconds from the start to the first answer")
    hang_after: Seconds = Field(
        default=10.0, description="seconds without a byte, with requests running, before a check"
    )
    canary_timeout: Seconds = Field(
        default=10.0, description="seconds the one-token check gets before it counts as hung"
    )
    drain: Wait = Field(default=30.0, description="seconds running requests get to finish before the engine is stopped")
    backoff_first: Seconds = Field(
        default=10.0, description="seconds to wait before the first restart; doubles each time"
    )
    backoff_most: Seconds = Field(default=300.0, description="longest wait between restarts, in seconds")
    give_up_after: Positive = Field(default=10, description="failed starts in a row before it is left alone")

    @model_validator(mode="after")
    def _most_is_most(self) -> Self:
        if self.backoff_most < self.backoff_first:
            raise ValueError("backoff_most must not be below backoff_first")
        return self


class Escalation(Section):
    """What leaves the box, and when."""

    mode: Literal["act", "advise", "off"] = Field(
        default="act", description="act | advise (log what it would do, stay local) | off (never leave the box)"
    )
    complexity: Share = Field(default=0.62, description="score at and above which a prompt leaves")
    confidence: Share = Field(
        default=0.0, description="the local answer's early confidence below which it leaves; 0: do not look"
    )
    context_tokens: Count = Field(default=6000, description="longer prompts than this leave")
    queue_depth: Count = Field(
        default=5,
        description="requests waiting for a first token on the best replica; at and above: leave; 0: always leave",
    )
    kv_cache: PositiveShare = Field(default=0.85, description="share of the KV cache in use, at and above: leave")
    gpu_utilization: PositiveShare = Field(
        default=0.95, description="sustained for 5 s, and only together with running requests"
    )
    ttft_ms: Positive = Field(
        default=2000, description="predicted time to the first token, in ms, above which it leaves"
    )
    release: PositiveShare = Field(default=0.7, description="return to local below this share of the thresholds")


class Timeouts(Section):
    """Seconds. Each can be set per target too."""

    connect: Seconds = Field(default=5.0, description="until the connection stands")
    first_token: Seconds = Field(
        default=15.0,
        description="until the first event of the model; on the engine: from its predicted start of service",
    )
    idle: Seconds = Field(default=20.0, description="between two chunks")
    total: Seconds = Field(default=300.0, description="for the whole answer")


class TargetTimeouts(Section):
    """A target's own time-outs; what is left out is as in [timeouts]."""

    connect: Seconds | None = Field(default=None, description="until the connection stands")
    first_token: Seconds | None = Field(default=None, description="until the first event of the model")
    idle: Seconds | None = Field(default=None, description="between two chunks")
    total: Seconds | None = Field(default=None, description="for the whole answer")

    def over(self, general: Timeouts) -> contract.Timeouts:
        """These where set, `general` where not."""
        return contract.Timeouts(**{**general.model_dump(), **self.model_dump(exclude_none=True)})


class Price(Section):
    """Dollars per million tokens."""

    input: Dollars = Field(description="prompt tokens")
    output: Dollars = Field(description="generated tokens, reasoning included")
    cache_read: Dollars | None = Field(default=None, description="prompt tokens read from the provider's cache")
    cache_write: Dollars | None = Field(default=None, description="prompt tokens written to the provider's cache")

    @property
    def contract(self) -> contract.Price:
        return contract.Price(self.input, self.output, self.cache_read, self.cache_write)


class TargetSettings(Section):
    """A cloud model, or any server of a known dialect. The catalogue knows its capabilities; each can be overridden."""

    provider: Text = Field(description="whose account and wire", examples=["openai"])
    model: Text = Field(description="the id sent to the provider", examples=["my-model"])
    key: Reference | None = Field(
        default=None,
        description="by reference; left out: PROVIDER_API_KEY from the environment, else, with a base_url, none",
        examples=["env:MY_API_KEY"],
    )
    base_url: Url | None = Field(
        default=None, description="what the vendor's own SDK takes", examples=["https://llm.example.com/v1"]
    )
    api_version: Text | None = Field(
        default=None, description="of the wire, where the provider has several", examples=["2026-10-21"]
    )
    timeouts: TargetTimeouts = Field(
        default=TargetTimeouts(), description="seconds; as in [timeouts]", examples=[{"first_token": 30.0}]
    )
    price: Price | None = Field(
        default=None, description="dollars per million tokens", examples=[{"input": 3.0, "output": 15.0}]
    )
    certified: Certificates = Field(
        default=(), description="what this account's contract allows; default none", examples=[["hipaa", "zdr"]]
    )
    modalities: Modalities | None = Field(
        default=None, description="what it reads: text, image, audio, video, pdf", examples=[["text", "image"]]
    )
    context_tokens: Positive | None = Field(default=None, description="context window, in tokens", examples=[128000])
    max_output_tokens: Positive | None = Field(default=None, description="longest answer, in tokens", examples=[16000])
    tools: bool | None = Field(default=None, description="calls tools", examples=[True])
    structured_output: bool | None = Field(default=None, description="keeps to a JSON schema", examples=[True])
    logprobs: bool | None = Field(default=None, description="gives log probabilities", examples=[False])
    chat: bool | None = Field(default=None, description="answers chats", examples=[True])
    completions: bool | None = Field(default=None, description="continues plain text", examples=[False])
    embeddings: bool | None = Field(default=None, description="makes embeddings", examples=[False])

    def capabilities(self, known: contract.Capabilities) -> contract.Capabilities:
        """What the catalogue knows, with what is said here put over it."""
        said = {name: getattr(self, name, None) for name in contract.Capabilities.__dataclass_fields__}
        facts = {name: value for name, value in said.items() if value is not None}
        if self.modalities is not None:
            facts["modalities"] = frozenset(self.modalities)
        return contract.Capabilities(
            **{name: getattr(known, name) for name in contract.Capabilities.__dataclass_fields__} | facts
        )


class Routes(Section):
    """Who takes what when it leaves the box, in order: names of targets."""

    code: Names = Field(default=(), description="code and its errors", examples=[["my-target"]])
    multimodal: Names = Field(default=(), description="images, audio, video, documents", examples=[["my-target"]])
    long_context: Names = Field(default=(), description="prompts past context_tokens", examples=[["my-target"]])
    complex: Names = Field(default=(), description="prompts past complexity", examples=[["my-target"]])
    default: Names = Field(default=(), description="all else, and after the others", examples=[["my-target"]])


class When(Section):
    """What a request must be for a rule to match: everything that is said here. Nothing said matches every request."""

    task: Task | None = Field(
        default=None, description="what is asked for: code, extraction, math, chat", examples=["code"]
    )
    header: Mapping[str, str] = Field(
        default={}, description="headers the request carries, with these values", examples=[{"x-team": "web"}]
    )
    min_tokens: Count | None = Field(default=None, description="prompt tokens, at least", examples=[500])
    keywords: Names = Field(default=(), description="words of which the text holds one", examples=[["contract"]])
    model: Text | None = Field(default=None, description="the model name the client sent", examples=["gpt-4o"])
    metadata: Mapping[str, str] = Field(
        default={}, description="members of the body's metadata, with these values", examples=[{"tier": "gold"}]
    )
    language: Language | None = Field(default=None, description="of the text, as its two letters", examples=["de"])


class Rule(Section):
    """The first rule that matches decides, before scores."""

    when: When = Field(
        description="what the request must be",
        examples=[{"task": "code", "header": {"x-team": "web"}, "min_tokens": 500}],
    )
    to: Annotated[Names, Field(min_length=1)] = Field(
        description='names of targets, in order, or "local"', examples=[["my-target"]]
    )


class Retries(Section):
    """How often one target is tried, and how long a Retry-After is waited out. Seconds."""

    attempts: Annotated[int, Field(ge=1, le=10)] = Field(
        default=2, description="tries on one target, the first included"
    )
    wait_here_up_to: Wait = Field(default=3.0, description="a Retry-After this short is waited out on the same target")
    honour_retry_after_up_to: Wait = Field(
        default=20.0, description="a longer one: next candidate now; waited out only where there is none"
    )
    hedge_after: Wait = Field(
        default=0.0,
        description="seconds without a first token after which the next candidate is asked too; 0: never",
    )

    @model_validator(mode="after")
    def _short_is_short(self) -> Self:
        if self.honour_retry_after_up_to < self.wait_here_up_to:
            raise ValueError("honour_retry_after_up_to must not be below wait_here_up_to")
        return self


class MediaIn(Section):
    """Images, sounds, videos and documents that a client gives by address, to a model that takes none by address."""

    fetch_urls: bool = Field(
        default=False,
        description="fetch them: over https, from public addresses alone; false: the address goes on as it is",
    )
    max_mb: Positive = Field(default=20, description="size of all that is fetched for one request, in MB")
    timeout: Seconds = Field(default=20.0, description="seconds for all that is fetched for one request")


class Budget(Section):
    """What clouds may cost."""

    daily_usd: Limit = Field(default=20.0, description='dollars per day; "none": no limit')


class Records(Section):
    """How long decisions are kept. Whichever limit is reached first removes the oldest."""

    retention_days: Annotated[int, Field(gt=0, le=36500)] = Field(default=30, description="days")
    max_mb: Positive = Field(default=256, description="size on disk, in MB")


class Document(Section):
    """The file, whole."""

    server: Server = Server()
    engine: Engine = Engine()
    escalation: Escalation = Escalation()
    targets: Mapping[str, TargetSettings] = {}
    routes: Routes = Routes()
    rules: Annotated[tuple[Rule, ...], Field(strict=False)] = ()
    aliases: Mapping[str, Text] = {}
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    media: MediaIn = MediaIn()
    budget: Budget = Budget()
    records: Records = Records()


class Settings(Document):
    """The file with the environment over it and its secrets resolved: what the runtime runs on.

    model_override: HEARTH_MODEL, where all `auto` goes: `local`, `local/NAME`, PROVIDER/MODEL or a target's name.
    absent: targets that cannot be used, each with a sentence that says why; they stay in `targets`.
    """

    model_override: str | None = None
    absent: Mapping[str, str] = {}

    @property
    def usable_targets(self) -> Mapping[str, TargetSettings]:
        return {name: target for name, target in self.targets.items() if name not in self.absent}

    def timeouts_of(self, target: str) -> contract.Timeouts:
        """Of a configured target, by its name; of any other and of the engine, the general ones."""
        own = self.targets[target].timeouts if target in self.targets else TargetTimeouts()
        return own.over(self.timeouts)
