"""Metrics of generated text: plain functions from texts (or tokens) to scores that can be compared with an interval."""
