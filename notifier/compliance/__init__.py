"""The questions that compliance asks of the record, each answered by one query."""
