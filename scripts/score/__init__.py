"""Training of the score of expected gain: `python -m scripts.score` (see docs/score.md)."""
