"""Letters: the words that one notice becomes on one channel in one locale, as exact bytes."""
