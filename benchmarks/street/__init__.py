"""Does the street measure what it says? Five claims about it, each with its figures; `python3 -m benchmarks.street`."""
