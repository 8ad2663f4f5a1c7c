"""The training step on a CPU: fused loops between PyTorch's matrix products."""
