"""The replicas of the engine and the GPUs, as Hearth sees them and as vLLM reports itself."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from scripts.dashboards.panels import THRESHOLD, Panel, Query, Section, made, selected

_VLLM = "Shown where Prometheus scrapes vLLM too: the job `vllm` in docker/monitoring/prometheus.yml."


def dashboard() -> Dashboard:
    words = "The replicas of the engine and the GPUs, as Hearth sees them and as vLLM reports itself."
    return made("hearth-engine", "Hearth: engine", words, [_REPLICAS, _GPUS, _ITSELF])


def of_vllm(share: float, histogram: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({histogram}_bucket[$__rate_interval]))) >= 0"


_REPLICAS = Section(
    "Replicas",
    figures=(
        Panel(
            "This model is served",
            "The engine's model, and the device it runs on.",
            "short",
            [Query(f"count by (model, device) ({selected('hearth_engine_model_info')})", "{{model}} on {{device}}")],
        ),
        Panel(
            "Replicas were started again this often",
            "Restarts in the last day. hearth doctor says what to do about each cause.",
            "short",
            [Query(f"sum(increase({selected('hearth_engine_restarts_total')}[24h]))", "restarts")],
        ),
    ),
    charts=(
        Panel(
            "Replicas are in these states",
            "1 for the state a replica is in; it answers in `ready` alone.",
            "short",
            [
                Query(
                    f"max by (replica, state) ({selected('hearth_engine_state')}) == 1",
                    "{{replica}} {{state}}",
                )
            ],
        ),
        Panel(
            "Requests run, wait and are under way",
            "Running and waiting as the engine reports them, seconds late; under way as Hearth counts them, at once.",
            "short",
            [
                Query(f"max by (replica) ({selected('hearth_queue_running')})", "running, {{replica}}"),
                Query(f"max by (replica) ({selected('hearth_queue_waiting')})", "waiting, {{replica}}"),
                Query(f"max by (replica) ({selected('hearth_replica_in_flight')})", "under way, {{replica}}"),
            ],
        ),
        Panel(
            "The KV cache fills to this share",
            "Above `[escalation] kv_cache`, requests leave the box; at 100 % the engine preempts.",
            "percentunit",
            [
                Query(f"max by (replica) ({selected('hearth_kv_cache_ratio')})", "{{replica}}"),
                Query(f"max({selected('hearth_threshold', kind='kv_cache')})", THRESHOLD),
            ],
        ),
    ),
)

_GPUS = Section(
    "GPUs",
    charts=(
        Panel(
            "GPUs are busy for this share of the time",
            "Time in which any kernel ran, and `[escalation] gpu`. Empty on a box without a GPU.",
            "percentunit",
            [
                Query(f"max by (gpu, name) ({selected('hearth_gpu_utilization_ratio')})", "{{gpu}} {{name}}"),
                Query(f"max({selected('hearth_threshold', kind='gpu')})", THRESHOLD),
            ],
        ),
        Panel(
            "GPUs have this much memory in use",
            "By whatever process. vLLM takes its share at the start and keeps it. Empty on a box without a GPU.",
            "bytes",
            [
                Query(f"max by (gpu, name) ({selected('hearth_gpu_memory_used_bytes')})", "{{gpu}} {{name}}"),
                Query(
                    f"max by (gpu, name) ({selected('hearth_gpu_memory_total_bytes')})",
                    f"{THRESHOLD}: all of {{{{gpu}}}}",
                ),
            ],
        ),
    ),
)

_ITSELF = Section(
    "As vLLM reports itself",
    charts=(
        Panel(
            "vLLM computes tokens at this rate",
            f"Prompt and generated tokens a second. {_VLLM}",
            "short",
            [
                Query("sum(rate(vllm:prompt_tokens_total[$__rate_interval]))", "prompt"),
                Query("sum(rate(vllm:generation_tokens_total[$__rate_interval]))", "generated"),
            ],
        ),
        Panel(
            "A token follows the last one after this time",
            f"Mean time per output token of a request: of half of them, and of 95 in a hundred. {_VLLM}",
            "s",
            [
                Query(of_vllm(0.5, "vllm:request_time_per_output_token_seconds"), "half"),
                Query(of_vllm(0.95, "vllm:request_time_per_output_token_seconds"), "95 %"),
            ],
        ),
        Panel(
            "Requests wait in vLLM's queue for this time",
            f"Before they are first scheduled: half of them, and 95 in a hundred. {_VLLM}",
            "s",
            [
                Query(of_vllm(0.5, "vllm:request_queue_time_seconds"), "half"),
                Query(of_vllm(0.95, "vllm:request_queue_time_seconds"), "95 %"),
            ],
        ),
        Panel(
            "vLLM preempts requests this often",
            f"A second, for want of room in the KV cache: what was computed is thrown away. {_VLLM}",
            "ops",
            [Query("sum(rate(vllm:num_preemptions_total[$__rate_interval]))", "preemptions")],
        ),
        Panel(
            "The KV cache of vLLM is full to this share",
            f"As vLLM counts it. {_VLLM}",
            "percentunit",
            [Query("max(vllm:kv_cache_usage_perc)", "in use")],
        ),
    ),
)
