"""Where the positives stand, and what follows from it."""
