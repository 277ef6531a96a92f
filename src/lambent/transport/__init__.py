"""Bytes: HTTP connections in, `Request` to a handler, `Response` out. Knows nothing of AWS but its error header."""
