"""Who sells models, at which address, over which wire: constants from the vendors' own documentation (2026-11)."""

from __future__ import annotations

from dataclasses import dataclass

OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS = "openai_chat", "openai_completions", "openai_embeddings"


@dataclass(frozen=True, slots=True)
class Provider:
    """base_url: what the vendor's own SDK takes by default. dialects: wires it speaks, so that bytes pass through."""

    name: str
    base_url: str
    dialects: frozenset[str]


_ALL = frozenset({OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS})
_CHAT = frozenset({OPENAI_CHAT})

PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider("openai", "https://api.openai.com/v1", _ALL),
        Provider("groq", "https://api.groq.com/openai/v1", _CHAT),
        Provider("together", "https://api.together.xyz/v1", _ALL),
        Provider("fireworks", "https://api.fireworks.ai/inference/v1", _ALL),
        Provider("deepseek", "https://api.deepseek.com/v1", _CHAT),
        Provider("openrouter", "https://openrouter.ai/api/v1", _CHAT | {OPENAI_COMPLETIONS}),
    )
}

# Named by the settings' contract; their wires are not spoken yet.
NAMES = frozenset(PROVIDERS) | {"anthropic", "gemini"}
