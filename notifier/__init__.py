"""Tell every user of a policy change, record what came back, and prove it.

The package is the flow: one folder per stage, in the order in which data travels. Start with
``docs/architecture.md``, or follow one notice through the files that the README lists under "Start here".
"""
