"""[retries], [media] and [batch]: second tries, media by address, and work that can wait."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from runtime.settings.kinds import Days, Positive, Seconds, Wait
from runtime.settings.sections.section import Section


class Retries(Section):
    """Tries on one target, and limits on a Retry-After that is waited out, in seconds."""

    attempts: Annotated[int, Field(ge=1, le=10)] = Field(
        default=2, description="tries on one target, the first included"
    )
    wait_here_up_to: Wait = Field(default=3.0, description="a Retry-After this short is waited out on the same target")
    honour_retry_after_up_to: Wait = Field(
        default=20.0, description="a longer one: next candidate now; waited out only where there is none"
    )
    hedge_after: Wait = Field(
        default=0.0,
        description="seconds without a first token after which the next candidate is asked too; 0: never",
    )

    @model_validator(mode="after")
    def _short_is_short(self) -> Self:
        if self.honour_retry_after_up_to < self.wait_here_up_to:
            raise ValueError("honour_retry_after_up_to must not be below wait_here_up_to")
        return self


class MediaIn(Section):
    """Images, sounds, videos and documents that a client gives by address, to a model that takes none by address."""

    fetch_urls: bool = Field(
        default=False,
        description="fetch them: over https, from public addresses alone; false: the address goes on as it is",
    )
    max_mb: Positive = Field(default=20, description="size of all that is fetched for one request, in MB")
    timeout: Seconds = Field(default=20.0, description="seconds for all that is fetched for one request")


class BatchSettings(Section):
    """Batches: work that can wait for an idle engine."""

    escalate: bool = Field(default=False, description="let batch work leave the box")
    max_requests: Positive = Field(default=50_000, description="requests in one batch")
    max_file_mb: Positive = Field(default=200, description="size of one file, in MB")
    expire_hours: Positive = Field(default=24, description="hours after which an unfinished batch expires")
    keep_days: Days = Field(default=30, description="days files and results are kept")
