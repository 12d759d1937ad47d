"""Compression: recipes that change a model's weights, and the artifact folder they write."""
