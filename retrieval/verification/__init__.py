"""Whether two pictures show the same person: thresholds and what they cost."""
