"""HTTP for functions: the events that front doors make of requests, and the answers they make of results.

Function URLs, HTTP APIs and REST APIs share it. Nothing here waits, looks anything up or keeps state.
"""
