"""HTTP APIs as their clients see them: stage, route, authorize, integrate, answer, log."""
