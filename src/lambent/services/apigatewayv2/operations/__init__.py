"""One method per operation of the API Gateway V2 API, by noun."""
