"""Rankings made better by looking at neighbours: k-reciprocal re-ranking, query expansion, database augmentation."""
