"""The people of a site: they come, change and go."""
