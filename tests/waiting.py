"""Who waits for somebody else's lock in a test's own database: ``pg_locks`` speaks of every database of a server."""

WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
