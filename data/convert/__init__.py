"""A dataset into the folders of another layout: CACE-Net's partitions, a table, or Market-1501's names."""
