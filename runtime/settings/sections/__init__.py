"""The sections of hearth.toml, one module per topic: every key, its default, its bounds, and a sentence on it."""
