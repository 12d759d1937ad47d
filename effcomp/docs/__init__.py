"""Generators of the reference pages under docs/."""
