"""What stands in the way of a site's letters, before the first one leaves."""
