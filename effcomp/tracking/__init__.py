"""Tracking of runs: MLflow, or none."""
