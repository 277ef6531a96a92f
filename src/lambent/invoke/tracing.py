"""X-Ray trace headers: every invocation has one, made here where the caller sent none."""

from __future__ import annotations

import os


def trace_header(received: str, now: float) -> str:
    """`Root=1-<8 hex>-<24 hex>;Parent=<16 hex>;Sampled=0`, keeping what the caller's header says."""
    random = os.urandom(20).hex()
    if not received:
        return f"Root=1-{int(now):08x}-{random[:24]};Parent={random[24:]};Sampled=0"
    parts = [part.strip() for part in received.split(";") if "=" in part]
    names = {part.partition("=")[0] for part in parts}
    if "Root" not in names:
        parts.insert(0, f"Root=1-{int(now):08x}-{random[:24]}")
    if "Parent" not in names:
        parts.append(f"Parent={random[24:]}")
    if "Sampled" not in names:
        parts.append("Sampled=0")
    return ";".join(parts)
