"""Nobody lost, doubles known: leased slices, a record before every try, an outcome after it, and retries."""
