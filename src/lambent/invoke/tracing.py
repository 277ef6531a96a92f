"""The trace header that a function gets: the caller's, or a new one; TracingConfig decides sampling."""

from __future__ import annotations

from lambent import ids

#: A header longer than any tracer makes is noise, or an attempt to fill memory; a new one takes its place.
_LENGTH_LIMIT = 512


def header(received: str, mode: str, now: float) -> str:
    """`Root=…;Parent=…;Sampled=0|1`. A decision that the caller made stands."""
    if len(received) > _LENGTH_LIMIT or "Root=" not in received:
        raw = ids.trace_digits()
        received = f"Root=1-{int(now):08x}-{raw[:24]};Parent={raw[24:]}"
    elif "Sampled=" in received:
        return received
    return f"{received};Sampled={'1' if mode == 'Active' else '0'}"
