"""The settings as frozen values: the sections of the file in its order, and what a reading adds to them.

Names are the file's. Knows no file, no environment, no vendor, and not how sections must agree (`agree` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from runtime.contract import targets as contract
from runtime.settings.kinds import Text
from runtime.settings.sections.engine import EngineSettings, LocalModel
from runtime.settings.sections.escalation import Escalation
from runtime.settings.sections.limits import Budget, NoticeSettings, PriceUpdates, Privacy, Records, TelemetrySettings
from runtime.settings.sections.quality import Quality
from runtime.settings.sections.routing import Routes, Rule
from runtime.settings.sections.scale import Autoscale, FleetSettings
from runtime.settings.sections.section import Section
from runtime.settings.sections.server import Server
from runtime.settings.sections.targets import TargetSettings, TargetTimeouts, TimeoutSettings
from runtime.settings.sections.traffic import BatchSettings, MediaIn, Retries

LOCAL = contract.LOCAL
AUTO = "auto"


class Document(Section):
    """The whole file."""

    server: Server = Server()
    engine: EngineSettings = EngineSettings()
    models: Mapping[str, LocalModel] = {}
    escalation: Escalation = Escalation()
    targets: Mapping[str, TargetSettings] = {}
    routes: Routes = Routes()
    rules: Annotated[tuple[Rule, ...], Field(strict=False)] = ()
    aliases: Mapping[str, Text] = {}
    timeouts: TimeoutSettings = TimeoutSettings()
    retries: Retries = Retries()
    media: MediaIn = MediaIn()
    batch: BatchSettings = BatchSettings()
    budget: Budget = Budget()
    prices: PriceUpdates = PriceUpdates()
    privacy: Privacy = Privacy()
    records: Records = Records()
    quality: Quality = Quality()
    notices: NoticeSettings = NoticeSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    fleet: FleetSettings = FleetSettings()
    autoscale: Autoscale = Autoscale()


class Settings(Document):
    """The file with the environment over it and its secrets resolved: what the runtime runs on.

    model_override: HEARTH_MODEL, where all `auto` goes: `local`, `local/NAME`, PROVIDER/MODEL or a target's name.
    absent: targets that cannot be used, each with a sentence that says why; they stay in `targets`.
    """

    model_override: str | None = None
    absent: Mapping[str, str] = {}

    @property
    def usable_targets(self) -> Mapping[str, TargetSettings]:
        return {name: target for name, target in self.targets.items() if name not in self.absent}

    def timeouts_of(self, target: str) -> contract.Timeouts:
        """The time-outs of a configured target, by its name; of any other and of the engine, the general ones."""
        own = self.targets[target].timeouts if target in self.targets else TargetTimeouts()
        return own.over(self.timeouts)
