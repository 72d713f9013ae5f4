"""`python -m runtime.cli` is `hearth`."""

from runtime.cli.entry import main

main()
