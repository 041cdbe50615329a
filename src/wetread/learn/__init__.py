"""Learning: PyTorch data sets over a cache, training, runs and their predictions."""
