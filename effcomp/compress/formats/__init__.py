"""What lies in an artifact folder: tensors for PyTorch, or a graph for an engine of its own."""
