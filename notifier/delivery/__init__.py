"""Nobody lost, doubles known: leased slices, an intent before every try, an outcome after it, and retries."""
