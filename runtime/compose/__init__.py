"""The composition root: wires `cloud` and `local_models` into the runtime."""
