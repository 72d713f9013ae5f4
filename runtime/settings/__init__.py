"""The one reader of files and environment: hearth.toml as frozen values, with the place of every fault.

Knows no vendor: the names of the providers come in.
"""

from runtime.settings.environment import environment, state_dir
from runtime.settings.faults import Problem, SettingsError
from runtime.settings.model import (
    Budget,
    Document,
    Engine,
    Escalation,
    MediaIn,
    Price,
    Records,
    Retries,
    Routes,
    Rule,
    Server,
    Settings,
    TargetSettings,
    TargetTimeouts,
    Timeouts,
    When,
)
from runtime.settings.pending import not_in_force
from runtime.settings.read import Loaded, find, load, read
from runtime.settings.reload import Changes, Live, diff, watch
from runtime.settings.secret import Secret

__all__ = [
    "Budget",
    "Changes",
    "Document",
    "Engine",
    "Escalation",
    "Live",
    "Loaded",
    "MediaIn",
    "Price",
    "Problem",
    "Records",
    "Retries",
    "Routes",
    "Rule",
    "Secret",
    "Server",
    "Settings",
    "SettingsError",
    "TargetSettings",
    "TargetTimeouts",
    "Timeouts",
    "When",
    "diff",
    "environment",
    "find",
    "load",
    "not_in_force",
    "read",
    "state_dir",
    "watch",
]
