"""One method per operation of X-Ray's API."""
