"""Features on disk: ours, and those of other tools."""
