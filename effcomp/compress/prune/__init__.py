"""Pruning: which weights go, before the number format is chosen."""
