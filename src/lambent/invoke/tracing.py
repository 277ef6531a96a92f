"""X-Ray trace headers: every invocation has one, made here where whoever invokes brings none."""

from __future__ import annotations

import os


def new_trace_header(now: float) -> str:
    """`Root=1-<8 hex>-<24 hex>;Parent=<16 hex>;Sampled=0`."""
    random = os.urandom(20).hex()
    return f"Root=1-{int(now):08x}-{random[:24]};Parent={random[24:]};Sampled=0"
