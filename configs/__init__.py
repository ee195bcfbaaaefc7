"""What a run is: one short YAML each, over one typed schema."""
