"""The public side of API Gateway: requests to deployed REST and HTTP APIs."""
