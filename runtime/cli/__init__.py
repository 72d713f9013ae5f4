"""The commands: thin, over the runtime's own modules. Importing this package imports none of them."""

from runtime.cli.entry import main

__all__ = ["main"]
