"""What is fast and what works, as printed tables; each file says how to run it."""
