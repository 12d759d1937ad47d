"""Goals, limits, Pareto fronts and the recommendation."""
