"""Versions of policies: what was published, exactly, and what changed."""
