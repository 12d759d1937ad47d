"""Runtimes, which execute artifacts: each turns the folder into a function from a batch to logits."""
