"""The paths that generate nothing, one module a noun."""
