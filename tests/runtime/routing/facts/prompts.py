"""The prompts of `prompts.toml`, by task."""

from __future__ import annotations

import tomllib
from pathlib import Path


def _read() -> dict[str, tuple[str, ...]]:
    """By task, with the long texts in their places."""
    data = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    prompts: dict[str, tuple[str, ...]] = {}
    for task, given in data["prompts"].items():
        whole = given
        for name, text in data["texts"].items():
            whole = [prompt.replace(f"{{{name}}}", text) for prompt in whole]
        prompts[task] = tuple(whole)
    return prompts


PROMPTS = _read()
