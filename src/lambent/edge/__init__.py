"""The front door: the way of a request from bytes to an AWS operation and back, and Lambent's own few paths."""
