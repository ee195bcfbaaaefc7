"""Pictures and labels in, batches out."""

from common.environment import require_packages_as_module

require_packages_as_module("numpy", "PIL", "torch")
