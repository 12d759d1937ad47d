"""Measurement: a fresh process for each artifact, called in turn with its baseline."""
