"""vLLM's wire and the HTTP connection to it."""
