"""Reasons of a decision: the closed list shown as `x-hearth-reason`. Knows no thresholds and no words."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    DEFAULT = "default"
    PINNED = "pinned"
    RULE = "rule"
    TASK = "task"
    COMPLEXITY = "complexity"
    CONFIDENCE = "confidence"
    CONTEXT = "context"
    MODALITY = "modality"
    CAPABILITY = "capability"
    QUEUE_DEPTH = "queue_depth"
    KV_CACHE = "kv_cache"
    GPU = "gpu"
    TTFT = "ttft"
    ENGINE_DOWN = "engine_down"
    REQUIRES = "requires"
    BUDGET = "budget"
    QUALITY = "quality"
    SESSION = "session"
    FALLBACK = "fallback"
