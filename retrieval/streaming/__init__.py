"""All scores of two sets of features, tile by tile, by whatever computes them fastest."""
