"""What to try next, and what is best."""
