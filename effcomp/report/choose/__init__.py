"""Objectives, limits and the recommendation."""
