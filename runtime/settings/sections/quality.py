"""[quality] and [quality.sample]: golden sets, the judge, and the sample of traffic it judges."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings.kinds import Amount, Count, Days, Dollars, Names, Share, TimeOfDay, Zone
from runtime.settings.sections.section import Section


class SampleSettings(Section):
    """Kept prompts and answers, redacted, for the judge and for calibration."""

    keep: bool = Field(default=False, description="keep some")
    share: Share = Field(default=0.01, description="share of requests that are kept")
    days: Days = Field(default=14, description="days they are kept")
    max: Count = Field(default=5_000, description="most that are kept; the oldest go first")


class Quality(Section):
    """Evaluation of the models in use, and demotion of one that drifts."""

    sets: Names = Field(default=("golden/*.toml",), description="files of golden sets")
    at: TimeOfDay = Field(default="02:30", description="when the daily run begins")
    timezone: Zone = Field(default="UTC", description="of `at`")
    mode: Literal["act", "advise", "off"] = Field(
        default="act", description="act (demote what drifts) | advise (say so) | off"
    )
    tolerance: Share = Field(default=0.03, description="loss of quality that is accepted")
    false_demotions_per_year: Amount = Field(default=0.1, description="accepted false demotions per year")
    daily_usd: Dollars = Field(default=2.0, description="most dollars per day for evaluation")
    judge: str = Field(default="", description="PROVIDER/MODEL that judges; empty: none")
    weekly: Count = Field(default=100, description="pairs judged per week")
    weekly_usd: Dollars = Field(default=5.0, description="most dollars per week for the judge")
    sample: SampleSettings = Field(default=SampleSettings(), description="kept prompts and answers")
