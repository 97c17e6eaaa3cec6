"""Channels: each module with an ``open_channel`` is one way to reach people. They never import each other."""
