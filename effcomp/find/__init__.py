"""Search for the configuration that answers a goal: plan, looks, confirmation."""
