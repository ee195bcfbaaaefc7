"""Handlers that a method brings itself (`Method.handlers`): one file a handler, one job each."""
