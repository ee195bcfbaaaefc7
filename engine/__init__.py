"""How it is trained and evaluated: Ignite engines, and handlers with one job each."""

from common.environment import require_packages_as_module

require_packages_as_module("torch", "ignite", "pydantic")
