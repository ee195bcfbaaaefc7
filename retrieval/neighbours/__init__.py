"""The nearest pictures of each picture."""
