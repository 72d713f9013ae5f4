"""[targets.NAME] and [timeouts]: cloud models, or any servers of a known dialect."""

from __future__ import annotations

from pydantic import Field

from runtime.contract import targets as contract
from runtime.contract.prices import OWN_PRICE, Price
from runtime.settings.kinds import Dollars, HeldCertificates, Modalities, Positive, Reference, Seconds, Text, Url
from runtime.settings.sections.section import Section


class TimeoutSettings(Section):
    """Seconds. Each can be set per target too."""

    connect: Seconds = Field(default=5.0, description="until the connection stands")
    first_token: Seconds = Field(
        default=15.0,
        description="until the first event of the model; on the engine from its turn there",
    )
    idle: Seconds = Field(default=20.0, description="between two chunks")
    total: Seconds = Field(default=300.0, description="for the whole answer")


class TargetTimeouts(Section):
    """A target's own time-outs; what is left out is as in [timeouts]."""

    connect: Seconds | None = Field(default=None, description="until the connection stands")
    first_token: Seconds | None = Field(default=None, description="until the first event of the model")
    idle: Seconds | None = Field(default=None, description="between two chunks")
    total: Seconds | None = Field(default=None, description="for the whole answer")

    def over(self, general: TimeoutSettings) -> contract.Timeouts:
        """These where set, `general` where not."""
        return contract.Timeouts(**{**general.model_dump(), **self.model_dump(exclude_none=True)})


class PriceSettings(Section):
    """Dollars per million tokens."""

    input: Dollars = Field(description="prompt tokens")
    output: Dollars = Field(description="generated tokens, reasoning included")
    cache_read: Dollars | None = Field(default=None, description="prompt tokens read from the provider's cache")
    cache_write: Dollars | None = Field(default=None, description="prompt tokens written to the provider's cache")
    cache_write_1h: Dollars | None = Field(default=None, description="of these, those it keeps for an hour")
    reasoning: Dollars | None = Field(default=None, description="reasoning tokens; left out: as other generated ones")

    @property
    def contract(self) -> Price:
        return Price(
            self.input,
            self.output,
            self.cache_read,
            self.cache_write,
            self.cache_write_1h,
            self.reasoning,
            source=OWN_PRICE,
        )


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
    region: Text | None = Field(
        default=None,
        description="one of the provider's regions; beside a base_url a name for the audit log",
        examples=["eu"],
    )
    timeouts: TargetTimeouts = Field(
        default=TargetTimeouts(), description="seconds; as in [timeouts]", examples=[{"first_token": 30.0}]
    )
    price: PriceSettings | None = Field(
        default=None, description="dollars per million tokens", examples=[{"input": 3.0, "output": 15.0}]
    )
    daily_usd: Dollars | None = Field(default=None, description="most dollars per day on this target", examples=[5.0])
    certified: HeldCertificates = Field(
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
    rerank: bool | None = Field(default=None, description="orders documents by a query", examples=[False])

    def capabilities(self, known: contract.Capabilities) -> contract.Capabilities:
        """The catalogue's capabilities, with the values set here in their place."""
        said = {name: getattr(self, name, None) for name in contract.Capabilities.__dataclass_fields__}
        facts = {name: value for name, value in said.items() if value is not None}
        if self.modalities is not None:
            facts["modalities"] = frozenset(self.modalities)
        return contract.Capabilities(
            **{name: getattr(known, name) for name in contract.Capabilities.__dataclass_fields__} | facts
        )
