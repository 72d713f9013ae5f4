"""The Hearth runtime: contract, decisions, doing, and the door. Names no vendor and loads no model library."""

__version__ = "0.1.0"
