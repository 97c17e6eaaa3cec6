"""What mail services report of letters that went out through them: one module per service."""
