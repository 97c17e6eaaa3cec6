"""HTTP: the API, the pages, the hooks. See app.py for how a request travels."""
