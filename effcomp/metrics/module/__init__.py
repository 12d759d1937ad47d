"""Metrics as local modules of `evaluate`: a folder for each, with a file of the same name."""
