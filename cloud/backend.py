"""A cloud target and its backend: facts from the settings and the catalogue, the codec, one lane."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urlsplit

from cloud.catalogue import known, listed, plain
from cloud.client import CloudClient
from cloud.hop import CloudHop
from cloud.offers import offer
from cloud.prices import price as charged
from cloud.providers import BEARER, OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS, PROVIDERS, RERANK
from runtime.contract.backend import Backend, Lane, Uploads
from runtime.contract.codec import Codec
from runtime.contract.guard import Guard, Receiver
from runtime.contract.hop import Hop
from runtime.contract.prices import Price
from runtime.contract.targets import Capabilities, Target, Timeouts
from runtime.dialects.openai_responses.words import NAME as OPENAI_RESPONSES


@dataclass(frozen=True, slots=True)
class Account:
    """A provider's account. base_url, api_version: None for the provider's own.

    key: a secret, therefore in no repr; None where none is needed. name: of the target that configures it, by which the
    guard knows its certificates.
    """

    provider: str
    base_url: str | None
    key: str | None = field(repr=False)
    certified: frozenset[str] = frozenset()
    api_version: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    name: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class CloudLane:
    """The vendor's endpoint. Ready means configured; the breaker knows whether it answers."""

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


# Models without an entry, by name: those that embed, and OpenAI's that do not, wherever they are served.
_EMBEDS = re.compile(r"embed", re.IGNORECASE)
_RERANKS = re.compile(r"rerank", re.IGNORECASE)
_CHATS = re.compile(r"(gpt|chatgpt|o\d)-", re.IGNORECASE)
NO_PRICE = "no price is known for this model"


def facts(name: str, account: Account, model: str, capabilities: Capabilities | None, price: Price | None) -> Target:
    """The target of a model on an account. capabilities, price: override the catalogue's and the price lists'.

    Bytes pass through on the wires that the provider speaks. Another server of the dialect is not expected to speak OpenAI's
    responses wire, because hardly any does.
    """
    catalogued = known(account.provider, model)
    elsewhere = not is_vendors(account.provider, account.base_url)
    usual = plain_capabilities(account.provider, model, own_server=elsewhere)
    price = price or charged(account.provider, model)
    notes = () if catalogued else (f"{model} is in no catalogue: it has the plain capabilities of {account.provider}",)
    spoken = PROVIDERS[account.provider].dialects
    return Target(
        name=name,
        provider=account.provider,
        model=model,
        capabilities=capabilities or usual,
        certified=account.certified,
        dialects=spoken - {OPENAI_RESPONSES} if elsewhere else spoken,
        timeouts=account.timeouts,
        price=price,
        notes=notes if price else (*notes, NO_PRICE),
        region=account.region,
    )


def is_vendors(provider: str, base_url: str | None) -> bool:
    """True if the vendor itself answers at this address: its own one, None, or another below its domain (a region's)."""
    try:
        home, host = (urlsplit(url).hostname or "" for url in (PROVIDERS[provider].base_url, base_url or ""))
    except ValueError:
        return False
    return not base_url or host.split(".")[-2:] == home.split(".")[-2:]


def offered(accounts: Mapping[str, Account]) -> tuple[Target, ...]:
    """The catalogued models of every provider, on its account where there is one. accounts: by provider.

    A server with a base URL of its own may have none of them.
    """
    made: list[Target] = []
    for provider, model in listed():
        account = accounts.get(provider) or Account(provider, None, None)
        if account.base_url is None:
            made.append(facts(f"{provider}/{model}", account, model, None, None))
    return tuple(made)


def plain_capabilities(provider: str, model: str, *, own_server: bool) -> Capabilities:
    """A model's capabilities before the settings override them. A server of one's own (own_server) may take all three calls."""
    catalogued = known(provider, model)
    if catalogued is not None:
        return catalogued
    spoken = PROVIDERS[provider].dialects
    embeds = _EMBEDS.search(model) is not None or (own_server and _CHATS.match(model) is None)
    return replace(
        plain(provider),
        completions=own_server and OPENAI_COMPLETIONS in spoken,
        embeddings=embeds and OPENAI_EMBEDDINGS in spoken,
        rerank=_RERANKS.search(model) is not None and RERANK in spoken,
    )


def connect(
    client: CloudClient, target: Target, account: Account, guard: Guard, now: Callable[[], datetime]
) -> Backend:
    """The backend of a target. `now` dates a Retry-After. Opens and owns nothing: the connections are the client's."""
    provider = PROVIDERS[account.provider]
    base_url = account.base_url or offer(account.provider).regions.get(account.region, provider.base_url)
    header, key = provider.key_header, account.key
    to = Receiver(account.name or target.name, origin_of(base_url), account.certified, account.region)
    authorization = {header: f"Bearer {key}" if header == BEARER else key} if key else {}
    hop = CloudHop(client, base_url, authorization, guard, to)
    lane = CloudLane(target.label, provider.around(hop) if provider.around else hop, target.model)
    uploads = provider.uploads(hop, base_url, account.api_version) if provider.uploads else None
    elsewhere = None if is_vendors(account.provider, account.base_url) else provider.elsewhere
    make = elsewhere or provider.codec
    return CloudBackend(target, make(now, account.api_version), (lane,), uploads)


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, without a user or a password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"
