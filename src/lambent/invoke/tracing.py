"""The trace header that a function gets: the caller's, or a new one; TracingConfig decides sampling.

`Lineage` in it counts, for each function that took part in a chain of calls, how often it did: `<mark>:<count>`, joined
by `|`. SDKs in functions pass the header on with every call they make, so a loop is seen, whatever leads through it.
"""

from __future__ import annotations

import hashlib

from lambent import ids

#: How often a function runs in one chain of calls before it counts as a loop.
MAX_HOPS = 16
#: A header longer than any tracer makes is noise, or an attempt to fill memory; a new one takes its place.
_LENGTH_LIMIT = 512
#: Functions of a chain that are remembered, the ones that ran last.
_LINEAGE_LIMIT = 24

_LINEAGE = "Lineage="


def mark(arn: str) -> str:
    """What a function is called in a lineage."""
    return hashlib.sha256(arn.encode()).hexdigest()[:8]


def hops(received: str, arn: str) -> int:
    """How often the function ran already in the chain of calls that `received` came through."""
    if _LINEAGE not in received:
        return 0
    return _counts(received).get(mark(arn), 0)


def header(received: str, mode: str, now: float, mark: str) -> str:
    """`Root=…;Parent=…;Sampled=0|1;Lineage=…`. A decision that the caller made stands. `mark` is the function's."""
    if not received or len(received) > _LENGTH_LIMIT or "Root=" not in received:
        raw = ids.trace_digits()
        sampled = "1" if mode == "Active" else "0"
        return f"Root=1-{int(now):08x}-{raw[:24]};Parent={raw[24:]};Sampled={sampled};Lineage={mark}:1"
    lineage = f"{mark}:1"
    if _LINEAGE in received:
        counts = _counts(received)
        counts[mark] = counts.pop(mark, 0) + 1
        kept = list(counts.items())[-_LINEAGE_LIMIT:]
        lineage = "|".join(f"{name}:{count}" for name, count in kept)
        received = ";".join(part for part in received.split(";") if not part.startswith(_LINEAGE))
    if "Sampled=" not in received:
        received = f"{received};Sampled={'1' if mode == 'Active' else '0'}"
    return f"{received};{_LINEAGE}{lineage}"


def _counts(received: str) -> dict[str, int]:
    """By mark, in order. What does not look like one is left out."""
    # SDKs write the bar as URLs do.
    text = received.partition(_LINEAGE)[2].partition(";")[0].replace("%7C", "|")
    entries = (entry.rpartition(":") for entry in text.split("|"))
    return {name: int(count) for name, _, count in entries if name and count.isdecimal() and len(count) < 6}
