"""The settings that have no effect on this box as it is."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.compose.confidence import without_map
from runtime.settings import Settings
from runtime.settings.idle import idle
from runtime.trust.presidio import without_presidio


def without_effect(settings: Settings, env: Mapping[str, str]) -> list[str]:
    """A sentence for each setting that is read and has no effect on this box as it is."""
    return [*idle(settings), *without_map(settings, env), *without_presidio(settings.privacy)]
