"""Tasks: the data, its split and encoding, and the choice of metrics."""
