"""Tasks: the data, its splits and its encoding."""
