"""What is fast and what works, as printed tables; each file says how to run it."""

from common.environment import require_packages_as_module

require_packages_as_module("numpy", "PIL", "torch")
