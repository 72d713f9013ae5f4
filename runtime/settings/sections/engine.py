"""[engine] and [models.NAME]: the local models and the servers that run them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from runtime.settings.kinds import (
    Amount,
    AutoGpus,
    AutoLength,
    Count,
    Dollars,
    HeldCertificates,
    LoraRank,
    Names,
    Positive,
    PositiveShare,
    Reference,
    Seconds,
    Share,
    Tasks,
    Text,
    Urls,
    Wait,
)
from runtime.settings.sections.section import Section


class EngineSettings(Section):
    """The vLLM server on this machine, started and watched by Hearth, or the running servers it attaches to."""

    model: Text = Field(default="smollm2-135m", description="name in the catalogue, hub id, or folder")
    device: Literal["auto", "cuda", "cpu"] = Field(default="auto", description="auto | cuda | cpu")
    replicas: Positive = Field(default=1, description="one vLLM per GPU group")
    max_model_len: AutoLength = Field(
        default="auto", description="context window in tokens; auto: the model's own, or what fits"
    )
    gpu_memory_utilization: PositiveShare = Field(default=0.9, description="share of the GPU's memory vLLM may take")
    args: Names = Field(default=(), description="handed to vLLM as they are", examples=[["--enable-prefix-caching"]])
    adapters: Mapping[str, Text] = Field(
        default={}, description="LoRA adapters: the folder of each, by name", examples=[{"legal": "./legal-lora"}]
    )
    max_loras: Count = Field(
        default=0, description="adapters in one batch; 0: none unless adapters are named, then one"
    )
    max_lora_rank: LoraRank = Field(default=16, description="highest rank of an adapter")
    sleep_after: Wait = Field(
        default=0.0, description="idle seconds after which it sleeps (vLLM's level 1), on NVIDIA GPUs alone; 0: never"
    )
    url: Urls = Field(
        default=(),
        description="attach to running servers of the OpenAI dialect instead of starting one: an address or a list",
        examples=[["http://127.0.0.1:8001/v1"]],
    )
    kind: Literal["replicas", "pool"] = Field(
        default="replicas",
        description="replicas (each url one engine, balanced here) | pool (a url whose owner balances)",
    )
    metrics: Urls = Field(
        default=(),
        description="where vLLM's metrics of a pool's engines are read, all of them; none: they are not known",
        examples=[["http://127.0.0.1:8080/metrics"]],
    )
    key: Reference | None = Field(
        default=None, description="key of the attached servers, by reference", examples=["env:ENGINE_API_KEY"]
    )
    certified: HeldCertificates = Field(
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

    gpu_hour_usd: Dollars | None = Field(
        default=None, description="dollars an hour of one GPU costs; left out: unknown", examples=[2.5]
    )
    watts: Amount | None = Field(default=None, description="what the box draws under load", examples=[700])
    kwh_usd: Dollars | None = Field(default=None, description="dollars per kWh", examples=[0.3])

    @model_validator(mode="after")
    def _most_is_most(self) -> Self:
        if self.backoff_most < self.backoff_first:
            raise ValueError("backoff_most must not be below backoff_first")
        return self

    @model_validator(mode="after")
    def _sleeps_on_a_gpu_of_its_own(self) -> Self:
        if self.sleep_after and self.url:
            raise ValueError("sleep_after is for engines that Hearth starts, and [engine] url names somebody else's")
        if self.sleep_after and self.device == "cpu":
            raise ValueError("sleep_after is for engines on NVIDIA GPUs: vLLM's sleep mode is for CUDA alone")
        return self

    @model_validator(mode="after")
    def _a_pool_has_an_address(self) -> Self:
        if self.kind == "pool" and not self.url:
            raise ValueError('kind = "pool" needs the url of the balancer')
        return self


class LocalModel(Section):
    """One more local model beside the engine's own, which stays the default one."""

    model: Text = Field(description="name in the catalogue, hub id, or folder", examples=["llama-3.2-3b"])
    tasks: Tasks = Field(default=(), description="tasks that `auto` gives to it", examples=[["extraction"]])
    gpus: AutoGpus = Field(default="auto", description="auto, or the indices of its GPUs: [0, 1]")
    share: PositiveShare = Field(default=0.3, description="share of one GPU's memory")
    load: Literal["always", "on_demand", "manual"] = Field(
        default="always", description="always | on_demand (with its first request) | manual"
    )
    complexity: Share = Field(
        default=1.0, description="score at and above which its tasks go past it, to the engine's own model; 1: never"
    )
    ttl: Count = Field(default=600, description="idle seconds after which an on_demand model is unloaded")
    adapters: Mapping[str, Text] = Field(
        default={}, description="LoRA adapters: the folder of each, by name", examples=[{"tax": "./tax-lora"}]
    )
    max_loras: Count = Field(
        default=0, description="adapters in one batch; 0: none unless adapters are named, then one"
    )
    max_lora_rank: LoraRank = Field(default=16, description="highest rank of an adapter")
    sleep_after: Wait = Field(
        default=0.0, description="idle seconds after which it sleeps (vLLM's level 1), on NVIDIA GPUs alone; 0: never"
    )
