"""`python -m runtime.cli` is `hearth`."""

from runtime.cli.group import main

main()
