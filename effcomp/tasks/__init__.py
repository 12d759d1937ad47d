"""What is asked of a model: the data, its split and encoding, and the metrics."""
