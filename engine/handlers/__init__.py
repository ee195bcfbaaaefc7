"""Ignite handlers, one job and one file each; `engine/training.py` says which are attached and in what order."""
