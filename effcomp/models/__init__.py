"""Where a model comes from: an installed package, a folder, or random weights."""
