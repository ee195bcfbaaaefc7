"""What is done with features: scores, ranks, protocols, re-ranking, feature files. Arrays only, no model."""

from common.environment import require_packages_as_module

require_packages_as_module("numpy", "torch")
