"""The command ``notifier``: one command, several roles. docs/commands.md lists what each one does."""

import sys


def main() -> None:
    """Run the command line and exit: 0 done, 1 it could not be done, 2 it was not understood, 130 interrupted."""
    try:
        from notifier.cli.app import execute  # here, so that Ctrl-C while Python still reads files is caught too

        status = execute(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
