"""The telling of one version: its rule, its audience, its state."""
