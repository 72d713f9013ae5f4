"""A model's answer as checks see it, read off a whole chat completion; and the signs of a refusal. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_LONGEST_REFUSAL = 400  # characters: a longer text that begins with an excuse is an answer with an excuse
# At the start of the first or second sentence, and nowhere else: "sorry" in the middle of a letter is no refusal.
_REFUSAL = re.compile(
    r"(?:^|[.!?]\s+)\W*(?:"
    r"(?:i['’]?m|i am) (?:very |really |so )?sorry\b|sorry,|i apologi[sz]e\b|as an ai\b"
    r"|(?:unfortunately,? )?i (?:can['’]?t|cannot|can not|won['’]?t|will not|am unable to|am not able to|must decline)\b"
    r"|(?:unfortunately,? )?i['’]m (?:unable|not able|not comfortable)\b"
    r"|es tut mir leid\b|ich kann (?:dir |ihnen )?(?:das|dabei|leider|nicht)\b"
    r"|je suis désolée?\b|je ne peux pas\b|lo siento\b|no puedo\b)",
    re.IGNORECASE,
)
_FIRST = 160  # characters in which a refusal begins


class ToolUse(msgspec.Struct, frozen=True):
    """A tool call. arguments: JSON, as the model wrote it."""

    name: str
    arguments: str


class ModelAnswer(msgspec.Struct, frozen=True):
    """finish: the reason in the chat wire's words. refusal: the vendor's own refusal, None without one."""

    text: str
    finish: str = ""
    refusal: str | None = None
    tools: tuple[ToolUse, ...] = ()
    served: str = ""
    fingerprint: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def shown(self) -> str:
        """The answer as a person is shown it: its text, else its refusal, else its tool calls."""
        calls = "\n".join(f"{each.name}({each.arguments})" for each in self.tools)
        return self.text or self.refusal or calls

    @property
    def refused_by_vendor(self) -> bool:
        return self.refusal is not None or self.finish == "content_filter"

    @property
    def refused(self) -> bool:
        """The vendor's own sign decides; else a short answer that begins with an excuse."""
        if self.refused_by_vendor:
            return True
        found = _REFUSAL.search(self.text, 0, _FIRST) if len(self.text) <= _LONGEST_REFUSAL else None
        return found is not None and not self.tools


def read_completion(body: bytes) -> ModelAnswer:
    """Raises ValueError for a body that is no chat completion."""
    try:
        whole: Any = msgspec.json.decode(body)
        choice = whole["choices"][0]
        message, usage = choice["message"], whole.get("usage") or {}
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(each.get("text", "") for each in content)
        calls = [each["function"] for each in message.get("tool_calls") or ()]
        return ModelAnswer(
            content or "",
            choice.get("finish_reason") or "",
            message.get("refusal"),
            tuple([ToolUse(each["name"], each.get("arguments") or "{}") for each in calls]),
            whole.get("model") or "",
            whole.get("system_fingerprint") or "",
            usage.get("prompt_tokens") or 0,
            usage.get("completion_tokens") or 0,
        )
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, AttributeError) as fault:
        raise ValueError("the answer is no chat completion") from fault
