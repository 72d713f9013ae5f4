"""Facts about models: catalogue, architecture, memory fit."""
