"""One engine replica: its lifecycle, supervision, health and telemetry."""
