"""Servers of OpenAI's dialect."""
