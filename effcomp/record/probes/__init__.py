"""Probes, one a module: numbers of a loaded model, each beside the function that measures it."""
