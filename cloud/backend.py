"""A cloud target made callable: its facts, its wire, one lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cloud.catalogue import known, plain
from cloud.client import CloudClient
from cloud.hop import CloudHop
from cloud.providers import BEARER, OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS, PROVIDERS
from runtime.contract.backend import Backend, Lane, Uploads
from runtime.contract.codec import Codec
from runtime.contract.hop import Hop
from runtime.contract.targets import Capabilities, Price, Target, Timeouts
from runtime.dialects.openai_responses.words import NAME as OPENAI_RESPONSES


@dataclass(frozen=True, slots=True)
class Account:
    """A provider's account. base_url, api_version: None for the provider's own.

    key: a secret, therefore in no repr; None where none is needed.
    """

    provider: str
    base_url: str | None
    key: str | None = field(repr=False)
    certified: frozenset[str] = frozenset()
    api_version: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True, slots=True)
class CloudLane:
    """The vendor's endpoint. Ready means configured; whether it answers, the breaker knows."""

    name: str
    hop: Hop
    model: str
    ready: bool = True
    slots: int | None = None


@dataclass(frozen=True, slots=True)
class CloudBackend:
    target: Target
    codec: Codec
    lanes: Sequence[Lane]
    uploads: Uploads | None = None


NO_PRICE = "no price is known for this model"


def facts(name: str, account: Account, model: str, capabilities: Capabilities | None, price: Price | None) -> Target:
    """The target of a model on an account. What is given goes before what the catalogue knows."""
    catalogued = known(account.provider, model)
    usual = plain_capabilities(account.provider, model, own_server=account.base_url is not None)
    price = price or (catalogued.price if catalogued else None)
    notes = () if catalogued else (f"{model} stands in no catalogue: plain capabilities of {account.provider}",)
    return Target(
        name=name,
        provider=account.provider,
        model=model,
        capabilities=capabilities or usual,
        certified=account.certified,
        dialects=_spoken(account),
        timeouts=account.timeouts,
        price=price,
        notes=notes if price else (*notes, NO_PRICE),
    )


def _spoken(account: Account) -> frozenset[str]:
    """The wires that bytes may pass through on: of somebody else's server, not the one that hardly any of them speaks."""
    spoken = PROVIDERS[account.provider].dialects
    return spoken - {OPENAI_RESPONSES} if account.base_url else spoken


def plain_capabilities(provider: str, model: str, *, own_server: bool) -> Capabilities:
    """What is known of a model before the settings speak; of somebody's own server, that it may do all three calls."""
    catalogued = known(provider, model)
    if catalogued is not None:
        return catalogued.capabilities
    spoken = PROVIDERS[provider].dialects if own_server else frozenset()
    return replace(plain(provider), completions=OPENAI_COMPLETIONS in spoken, embeddings=OPENAI_EMBEDDINGS in spoken)


def connect(client: CloudClient, target: Target, account: Account, now: Callable[[], datetime]) -> Backend:
    """The backend of a target. `now` dates a Retry-After. Opens and owns nothing: the connections are the client's."""
    provider = PROVIDERS[account.provider]
    base_url = account.base_url or provider.base_url
    hop = CloudHop(client, base_url, _authorization(provider.key_header, account.key))
    lane = CloudLane(target.label, provider.around(hop) if provider.around else hop, target.model)
    uploads = provider.uploads(hop, base_url, account.api_version) if provider.uploads else None
    return CloudBackend(target, provider.codec(now, account.api_version), (lane,), uploads)


def _authorization(header: str, key: str | None) -> dict[str, str]:
    if not key:
        return {}
    return {header: f"Bearer {key}" if header == BEARER else key}
