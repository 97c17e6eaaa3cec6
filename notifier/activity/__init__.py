"""Continued use: what the sites report of their people, kept only as far as it may still matter."""
