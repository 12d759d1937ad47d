"""Sources of models: an installed package, a folder, the Hub, or random weights."""
