"""OpenAI's completions wire, which only passes through: no other wire has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.dialects.folded import FoldedMeter
from runtime.dialects.meter import Meter, PartialAnswer
from runtime.dialects.openai_body import asks_usage, check_members, for_model
from runtime.dialects.openai_chat.fold import ChatFold
from runtime.dialects.openai_chat.meter import ChatStreamMeter, ChatWholeMeter
from runtime.dialects.seam import Passing
from runtime.dialects.untranslated import Untranslated
from runtime.wire.raw_body import RawBody

PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class CompletionsDialect(Untranslated):
    """See `runtime.dialects.seam.Dialect`."""

    name: str = "openai_completions"

    def check(self, body: RawBody) -> None:
        check_members(body, PROMPT)

    def streams(self, body: RawBody) -> bool:
        return body.data.get("stream") is True

    def passing(
        self,
        body: RawBody,
        model: str,
        *,
        keep_text: bool = False,
        partial: PartialAnswer | None = None,
        fold: bool = False,
    ) -> Passing:
        """See `Dialect.passing`. A cut completion is not resumed; the best of several is not streamed."""
        choices = (body.data.get("n") or 1) * _prompts(body.data[PROMPT])
        if not self.streams(body):
            if not fold or (body.data.get("best_of") or 1) != 1:
                return Passing(for_model(body, model), ChatWholeMeter())
            folded = FoldedMeter(ChatStreamMeter(choices=choices, hide_usage=False), ChatFold())
            return Passing(for_model(body, model, with_usage=True, stream=True), folded, True)
        asked = asks_usage(body)
        meter: Meter = ChatStreamMeter(choices=choices, hide_usage=not asked)
        return Passing(for_model(body, model, with_usage=not asked), meter, True)


def _prompts(prompt: Any) -> int:
    """The number of prompts: a string or a list of token ids is one."""
    return len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1


COMPLETIONS = CompletionsDialect()
