"""What the record amounts to: deemed, explicit and registration acceptances, and objections. Never called consent."""
