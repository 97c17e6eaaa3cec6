"""``python -m notifier.cli``, the same as ``notifier``."""

from notifier.cli import main

main()
