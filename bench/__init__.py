"""Benchmarks: what docs/design.md §9 promises, measured beside its goals. `make bench` runs them all."""
