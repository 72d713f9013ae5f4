"""A real Ray Serve LLM, attached as a pool."""
