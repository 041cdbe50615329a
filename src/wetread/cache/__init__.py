"""Training cache: images decoded once, memory-mapped; knows no PyTorch."""
