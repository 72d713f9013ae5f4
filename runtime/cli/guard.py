"""The guard of a command that fetches a model's files: no request's data leaves with it, and nothing keeps a record."""

from __future__ import annotations

from runtime.trust.guard import ExitGuard

GUARD = ExitGuard({}, lambda departure: None)
