"""Installs vLLM in an environment of its own, by hash, from the locks beside this file. Standard library only."""
