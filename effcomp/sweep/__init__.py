"""What surrounds the configurations of a multirun."""
