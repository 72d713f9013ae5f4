"""The one reader of files and environment: hearth.toml as frozen values, with the place of every fault. Knows no vendor."""

from runtime.settings.model import (
    Budget,
    Document,
    Engine,
    Escalation,
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
from runtime.settings.secret import Secret

__all__ = [
    "Budget",
    "Document",
    "Engine",
    "Escalation",
    "Price",
    "Records",
    "Retries",
    "Routes",
    "Rule",
    "Secret",
    "Server",
    "Settings",
    "TargetSettings",
    "TargetTimeouts",
    "Timeouts",
    "When",
]
