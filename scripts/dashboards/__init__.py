"""Grafana's dashboards of Hearth, made with Grafana's own typed builders into docker/monitoring/dashboards."""
