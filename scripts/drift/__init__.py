"""The detector of drifting models in simulated worlds: `python -m scripts.drift` writes a table and docs/drift.png."""
