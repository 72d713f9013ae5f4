"""Reading vLLM's /metrics, on a real one of 0.32.0 taken while it generated."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_models.replica import telemetry
from runtime.contract.engine import Telemetry

REAL = (Path(__file__).parent / "metrics_0_32_0.txt").read_text()


def test_a_real_answer_is_read_whole() -> None:
    """Every name is there, and the KV cache's size is the one vLLM logged at its start."""
    assert telemetry.missing(REAL) == ()
    assert telemetry.parse(REAL, at=7.0) == Telemetry(
        at=7.0,
        waiting=0,
        running=1,
        kv_cache=0.0027548209366391463,
        prompt_tokens=107,
        cached_prompt_tokens=0,
        generation_tokens=20,
        preemptions=0,
        kv_tokens=46592,
    )


def test_engines_and_labels_are_summed() -> None:
    """Counts add up over engine cores; the KV share is their mean, still 0..1."""
    text = (
        'vllm:num_requests_waiting{engine="0"} 3.0\n'
        'vllm:num_requests_waiting{engine="1",model_name="a } b"} 4 1795370307000\n'
        'vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 99\n'
        'vllm:kv_cache_usage_perc{engine="0"} 0.5\n'
        'vllm:kv_cache_usage_perc{engine="1"} 1.0\n'
        'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100"} 1.0\n'
        'vllm:cache_config_info{block_size="16",engine="1",kv_cache_size_tokens="None",num_gpu_blocks="50"} 1.0\n'
    )
    found = telemetry.parse(text, at=0.0)
    assert found is not None and (found.waiting, found.kv_cache, found.kv_tokens) == (7, 0.75, 2400)


def test_what_is_missing_is_named_and_reads_as_nothing() -> None:
    """A renamed metric is noticed, not fatal."""
    drifted = REAL.replace("vllm:num_requests_running{", "vllm:requests_running{")
    assert telemetry.missing(drifted) == (telemetry.RUNNING,)
    found = telemetry.parse(drifted, at=0.0)
    assert found is not None and found.running == 0 and found.generation_tokens == 20
    assert telemetry.missing("") == telemetry.NAMES


@pytest.mark.parametrize(
    "text", ["", "python_info 1.0\nprocess_cpu_seconds_total 3\n", "sglang:num_running_reqs 4\n", "<html>"]
)
def test_a_text_without_vllms_names_is_no_telemetry(text: str) -> None:
    """A balancer's own counters would read as an idle engine."""
    assert telemetry.parse(text, at=0.0) is None


def test_rays_spelling_is_read_too() -> None:
    """Of all replicas of a node, each with its labels."""
    text = (
        'ray_vllm_num_requests_running{ReplicaId="a",model_name="m"} 3.0\n'
        'ray_vllm_num_requests_running{ReplicaId="b",model_name="m"} 1.0\n'
        'ray_vllm_num_requests_waiting{ReplicaId="a",model_name="m"} 2.0\n'
        'ray_vllm_kv_cache_usage_perc{ReplicaId="a",model_name="m"} 0.5\n'
    )
    assert telemetry.parse(text, at=1.0) == Telemetry(at=1.0, waiting=2, running=4, kv_cache=0.5)


@pytest.mark.parametrize("rest", ["", "{", "{} NaN", " x", "{} ", "_new 9", "{} +Inf"])
def test_a_line_that_cannot_be_read_is_skipped(rest: str) -> None:
    """Bad text never raises."""
    found = telemetry.parse(f"vllm:num_requests_running{rest}\nvllm:num_requests_running 2\n", at=0.0)
    assert found is not None and found.running == 2
