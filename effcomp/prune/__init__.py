"""Pruning, and the recovery after it."""
