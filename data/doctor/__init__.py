"""The doctor: what is wrong with a dataset, before days of training on it are lost."""
