"""Recall and precision of the search for personal data: `python -m scripts.personal` (see docs/compliance.md)."""
