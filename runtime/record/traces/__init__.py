"""Traces: the W3C context of a request, its spans made from the finished record, and their way out by OTLP."""
