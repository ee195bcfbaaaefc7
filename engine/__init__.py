"""How it is trained and evaluated: Ignite engines, and handlers with one job each."""
