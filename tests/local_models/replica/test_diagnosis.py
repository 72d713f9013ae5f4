"""Causes read off real last lines of vLLM 0.32.0 (data/logs), and off known texts of what cannot be run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_models.host.log_ring import LogRing
from local_models.replica.diagnosis import diagnose

LOGS = Path(__file__).parent / "logs"


def lines(name: str) -> tuple[str, ...]:
    ring = LogRing()
    ring.feed((LOGS / f"{name}.txt").read_bytes())
    ring.flush()
    return ring.tail(10_000)


@pytest.mark.parametrize(
    ("name", "words", "deterministic"),
    [
        ("bad_flag", ["--no-such-flag", "[engine] args"], True),
        ("bad_value", ["--max-model-len", "'many'", "[engine] args"], True),
        ("bad_parser", ["tool call parser named nope"], True),
        ("missing_folder", ["/models/nowhere"], True),
        ("missing_weights", ["/models/empty holds no weights", "pull"], True),
        ("unknown_repo_offline", ["not on this box", "pull"], True),
        ("bad_arch", ["NoSuchForCausalLM"], True),
        ("len_above_model", ["100000", "8192"], True),
        ("kv_too_small", ["60000", "1.29 GiB", "1.0 GiB", "46464"], True),
        ("kv_too_big", ["500.0 GiB", "VLLM_CPU_KVCACHE_SPACE"], True),
        ("tensor_parallel", ["attention heads (9)", "tensor parallel size (2)"], True),
        ("in_use", ["address"], False),
        ("core_killed", ["killed", "dmesg"], False),
    ],
)
def test_real_deaths_are_understood(name: str, words: list[str], deterministic: bool) -> None:
    """The cause quotes vLLM's own figures and never its empty last word."""
    found = diagnose(lines(name))
    assert found is not None
    assert found.deterministic is deterministic
    assert "Failed core proc" not in found.cause
    for word in words:
        assert word in found.cause


@pytest.mark.parametrize(
    ("line", "words", "deterministic"),
    [
        (
            "(EngineCore pid=7) ERROR 11-22 18:08:31 [core.py:1510] torch.OutOfMemoryError: CUDA out of memory. "
            "Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.57 GiB",
            "2.00 GiB",
            True,
        ),
        (
            "ValueError: Free memory on device cuda:0 (3.1/23.57 GiB) on startup is less than desired GPU memory "
            "utilization (0.9, 21.21 GiB). Decrease GPU memory utilization or reduce GPU memory used by others.",
            "3.1 of the GPU's 23.57 GiB",
            False,
        ),
        (
            "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
            "weights",
            True,
        ),
        ("RuntimeError: Failed to infer device type, please set", "nvidia-smi", True),
        ("RuntimeError: The NVIDIA driver on your system is too old (found version 12020).", "12020", True),
        ("huggingface_hub.errors.GatedRepoError: 403 Client Error.", "HF_TOKEN", True),
        ("huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.", "hub knows no such model", True),
        ("OSError: [Errno 28] No space left on device", "disk is full", False),
        ("RuntimeError: operator torchvision::nms does not exist", "hearth engine install", True),
        ("ModuleNotFoundError: No module named 'vllm'", "No module named 'vllm'", True),
        ("/usr/bin/python: No module named vllm", "lacks vllm", True),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", "illegal memory access", False),
        ("main.py: error: the following arguments are required: model", "required: model", True),
        ("RuntimeError: something new", "something new", False),
    ],
)
def test_known_texts(line: str, words: str, deterministic: bool) -> None:
    """Texts of GPUs, drivers and the hub, followed by vLLM's empty last word."""
    last = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    found = diagnose([line, last])
    assert found is not None
    assert words in found.cause
    assert found.deterministic is deterministic


def test_the_empty_last_word_alone_is_no_cause() -> None:
    """Better nothing than `Failed core proc(s): {}`."""
    last = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    assert diagnose([last]) is None
    assert diagnose([]) is None


def test_refused_requests_and_chatter_are_no_cause() -> None:
    """The front logs single requests' errors and vLLM warns of much."""
    noise = [
        "(APIServer pid=7) ERROR 11-22 17:58:32 [api_router.py:75] vllm.exceptions.VLLMValidationError: too long",
        "(APIServer pid=7) WARNING 11-22 17:57:24 [system_utils.py:255] `OSError: [Errno 24] Too many open files`",
        "INFO:     Finished server process [7]",
    ]
    assert diagnose(noise) is None


def test_only_the_end_of_a_long_log_counts() -> None:
    """What was overcome days ago did not end it."""
    assert diagnose(["OSError: [Errno 28] No space left on device", *["(Worker pid=7) INFO x"] * 500]) is None
