"""REST APIs as their clients see them: route, authorize, validate, integrate, answer, log."""
