"""The one reader of hearth.toml and the environment: frozen values, and every fault with its place.

Knows no vendor: the names of the providers come in.
"""

from runtime.settings.environment import environment, state_dir
from runtime.settings.faults import Problem, SettingsError
from runtime.settings.model import Document, Settings
from runtime.settings.read import Loaded, find, load, read
from runtime.settings.reload import Changes, Live, diff, watch
from runtime.settings.secret import Secret
from runtime.settings.sections.engine import EngineSettings
from runtime.settings.sections.escalation import Escalation
from runtime.settings.sections.limits import Budget, NoticeSettings, Privacy, Records
from runtime.settings.sections.quality import Quality, SampleSettings
from runtime.settings.sections.routing import Routes, Rule, When
from runtime.settings.sections.scale import Autoscale
from runtime.settings.sections.server import Server
from runtime.settings.sections.targets import PriceSettings, TargetSettings, TargetTimeouts, TimeoutSettings
from runtime.settings.sections.traffic import BatchSettings, MediaIn, Retries

__all__ = [
    "Autoscale",
    "BatchSettings",
    "Budget",
    "Changes",
    "Document",
    "EngineSettings",
    "Escalation",
    "Live",
    "Loaded",
    "MediaIn",
    "NoticeSettings",
    "PriceSettings",
    "Privacy",
    "Problem",
    "Quality",
    "Records",
    "Retries",
    "Routes",
    "Rule",
    "SampleSettings",
    "Secret",
    "Server",
    "Settings",
    "SettingsError",
    "TargetSettings",
    "TargetTimeouts",
    "TimeoutSettings",
    "When",
    "diff",
    "environment",
    "find",
    "load",
    "read",
    "state_dir",
    "watch",
]
