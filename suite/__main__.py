"""`python -m suite` is the same as `suite`."""

from suite.cli.main import main

main()
