"""[fleet] and [autoscale]: other Hearths, and the number of replicas of an existing Ray cluster."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from runtime.settings.kinds import Count, HearthName, OptionalReference, OptionalUrl, Peers, Positive, StoreUrl
from runtime.settings.sections.section import Section


class FleetSettings(Section):
    """The other Hearths that share this one's traffic, budgets and state."""

    name: HearthName = Field(default="", description="of this Hearth in the fleet: letters, digits and hyphens")
    peers: Peers = Field(
        default=(),
        description='addresses of the others, or "dns:NAME:PORT"',
        examples=[["http://b:8000"]],
    )
    key: OptionalReference = Field(
        default=None, description="key between Hearths, by reference", examples=["env:HEARTH_FLEET_KEY"]
    )
    store: StoreUrl = Field(default="", description="valkey://HOST:PORT/DB; empty: each Hearth decides alone")
    store_key: OptionalReference = Field(
        default=None, description="password of the store, by reference", examples=["env:HEARTH_STORE_PASSWORD"]
    )


class Autoscale(Section):
    """Replicas of a Ray cluster, scaled by predicted time to first token."""

    ray: OptionalUrl = Field(
        default="",
        description="address of the Ray dashboard; empty: off. Without [fleet] store, exactly one Hearth may have it",
    )
    token: OptionalReference = Field(
        default=None, description="token of Ray, by reference", examples=["env:RAY_AUTH_TOKEN"]
    )
    ttft_ms: Positive = Field(default=2000, description="typical predicted time to the first token to keep, in ms")
    min: Count = Field(default=1, description="fewest replicas")
    max: Positive = Field(default=1, description="most replicas")
    mode: Literal["act", "advise", "off"] = Field(
        default="advise", description="act | advise (status, metrics and log show what it would do) | off"
    )

    @model_validator(mode="after")
    def _max_is_most(self) -> Self:
        if self.max < self.min:
            raise ValueError("max must not be below min")
        return self
