"""[routes] and [[rules]]: the targets that take what leaves the box, and rules that go before the thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from runtime.settings.kinds import Certificates, Count, Language, Names, Task, Text
from runtime.settings.sections.section import Section


class Routes(Section):
    """Targets, in order, for requests that leave the box, by kind of request."""

    code: Names = Field(default=(), description="code and its errors", examples=[["my-target"]])
    multimodal: Names = Field(default=(), description="images, audio, video, documents", examples=[["my-target"]])
    long_context: Names = Field(default=(), description="prompts past context_tokens", examples=[["my-target"]])
    complex: Names = Field(default=(), description="prompts past complexity", examples=[["my-target"]])
    default: Names = Field(default=(), description="all else, and after the others", examples=[["my-target"]])


class When(Section):
    """Conditions of a rule: all that are set must hold. Without any, every request matches."""

    task: Task | None = Field(
        default=None,
        description="what is asked for: code, extraction, math, chat, summary, document, multimodal, tool",
        examples=["code"],
    )
    header: Mapping[str, str] = Field(
        default={}, description="headers the request carries, with these values", examples=[{"x-team": "web"}]
    )
    min_tokens: Count | None = Field(default=None, description="prompt tokens, at least", examples=[500])
    keywords: Names = Field(default=(), description="words of which the text holds one", examples=[["contract"]])
    model: Text | None = Field(default=None, description="the model name the client sent", examples=["gpt-4o"])
    metadata: Mapping[str, str] = Field(
        default={}, description="members of the body's metadata, with these values", examples=[{"tier": "gold"}]
    )
    language: Language | None = Field(default=None, description="of the text, as its two letters", examples=["de"])


class Rule(Section):
    """The first rule that matches decides, before scores."""

    when: When = Field(
        description="what the request must be",
        examples=[{"task": "code", "header": {"x-team": "web"}, "min_tokens": 500}],
    )
    to: Names = Field(
        default=(),
        description='names of targets, in order, "local" or local/NAME of a [models.NAME]; may be left out beside requires',
        examples=[["my-target"]],
    )
    requires: Certificates = Field(
        default=(), description="what a target must be certified for to take it", examples=[["hipaa"]]
    )

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.to and not self.requires:
            raise ValueError('needs "to" or "requires"')
        return self
