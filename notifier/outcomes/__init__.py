"""What comes back after a letter was handed over: bounces, complaints, and what people did with a message."""
