"""The trace header that a function gets: the caller's, or a new one; TracingConfig and the sampler decide sampling.

`Parent` in it is the segment of the function's own that Lambda records of the invocation, which the segments of its
code belong to. `Lineage` counts, for each function that took part in a chain of calls, how often it did:
`<mark>:<count>`, joined by `|`. SDKs in functions pass the header on with every call they make, so a loop is seen,
whatever leads through it.
"""

from __future__ import annotations

import hashlib
import re
from random import random
from typing import NamedTuple

from lambent import ids

#: How often a function runs in one chain of calls before it counts as a loop.
MAX_HOPS = 16
#: Of requests that nobody decided about, as AWS samples: one a second of each function, and this part of the others.
RATE = 0.05
#: A header longer than any tracer makes is noise, or an attempt to fill memory; a new one takes its place.
_LENGTH_LIMIT = 512
#: Functions of a chain that are remembered, the ones that ran last.
_LINEAGE_LIMIT = 24
#: Functions whose last sampled second is remembered; where they get more, all are forgotten.
_FUNCTIONS = 10_000

#: Stands in the header of an invocation that is traced.
SAMPLED = "Sampled=1"
_LINEAGE = "Lineage="
_ROOT = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")
_ID = re.compile(r"[0-9a-f]{16}")


class Context(NamedTuple):
    """What a header says, each part "" where it is missing or no id."""

    root: str
    parent: str
    sampled: bool


class Sampler:
    """Which requests of functions with active tracing are traced where the caller did not decide."""

    def __init__(self) -> None:
        #: Function → the last second in which one was.
        self._seconds: dict[str, int] = {}

    def takes(self, arn: str, now: float) -> bool:
        second = int(now)
        if self._seconds.get(arn) == second:
            return random() < RATE  # noqa: S311 - it keeps nothing secret
        if len(self._seconds) >= _FUNCTIONS:
            self._seconds.clear()
        self._seconds[arn] = second
        return True


def mark(arn: str) -> str:
    """What a function is called in a lineage."""
    return hashlib.sha256(arn.encode()).hexdigest()[:8]


def hops(received: str, arn: str) -> int:
    """How often the function ran already in the chain of calls that `received` came through."""
    if _LINEAGE not in received:
        return 0
    return _counts(received).get(mark(arn), 0)


def header(received: str, sampler: Sampler | None, arn: str, now: float, mark: str) -> str:
    """`Root=…;Parent=…;Sampled=0|1;Lineage=…`. A decision that the caller made stands.

    `sampler` None: only what the caller decided to trace is. `mark` is the function's.
    """
    if not received or len(received) > _LENGTH_LIMIT or "Root=" not in received:
        raw = ids.trace_digits()
        sampled = "1" if sampler is not None and sampler.takes(arn, now) else "0"
        return f"Root=1-{int(now):08x}-{raw[:24]};Parent={raw[24:]};Sampled={sampled};Lineage={mark}:1"
    return f"{_passed_on(received, sampler, arn, now)};{_lineage(received, mark)}"


def joined(received: str, sampler: Sampler, name: str, now: float) -> str:
    """The header that another service of the region passes on: its own segment is the parent, who ran stays told."""
    if not received or len(received) > _LENGTH_LIMIT or "Root=" not in received:
        received = _root(now)
    _, marked, lineage = received.partition(_LINEAGE)
    kept = f";{_LINEAGE}{lineage.partition(';')[0]}" if marked else ""
    return _passed_on(received, sampler, name, now) + kept


def _passed_on(received: str, sampler: Sampler | None, arn: str, now: float) -> str:
    """With a new parent and a decision, less the lineage."""
    kept, sampled = [], ""
    for part in received.split(";"):
        name, _, value = part.strip().partition("=")
        if name == "Sampled" and value in ("0", "1"):
            sampled = value
        elif name not in ("Parent", "Sampled", "Lineage") and part:
            kept.append(part.strip())
    if not sampled:
        sampled = "1" if sampler is not None and sampler.takes(arn, now) else "0"
    return f"{';'.join(kept)};Parent={ids.trace_digits()[:16]};Sampled={sampled}"


def _lineage(received: str, mark: str) -> str:
    if _LINEAGE not in received:
        return f"{_LINEAGE}{mark}:1"
    counts = _counts(received)
    counts[mark] = counts.pop(mark, 0) + 1
    return _LINEAGE + "|".join(f"{name}:{count}" for name, count in list(counts.items())[-_LINEAGE_LIMIT:])


def decided(received: str, sampler: Sampler | None, arn: str, now: float) -> str:
    """The header of an event: all attempts to run it belong to one trace, sampled or not."""
    if not received or len(received) > _LENGTH_LIMIT or "Root=" not in received:
        received = _root(now)
    if "Sampled=" in received:
        return received
    return f"{received};Sampled={'1' if sampler is not None and sampler.takes(arn, now) else '0'}"


def _root(now: float) -> str:
    return f"Root=1-{int(now):08x}-{ids.trace_digits()[:24]}"


def context_of(header: str) -> Context:
    """The parts of a header that name a trace."""
    found: dict[str, str] = {}
    for part in header[: 2 * _LENGTH_LIMIT].split(";"):
        name, _, value = part.strip().partition("=")
        found.setdefault(name, value)
    root, parent = found.get("Root", ""), found.get("Parent", "").lower()
    root = root.lower() if _ROOT.fullmatch(root.lower()) else ""
    return Context(root, parent if _ID.fullmatch(parent) else "", found.get("Sampled") == "1")


def _counts(received: str) -> dict[str, int]:
    """By mark, in order. What does not look like one is left out."""
    # SDKs write the bar as URLs do.
    text = received.partition(_LINEAGE)[2].partition(";")[0].replace("%7C", "|")
    entries = (entry.rpartition(":") for entry in text.split("|"))
    return {name: int(count) for name, _, count in entries if name and count.isdecimal() and len(count) < 6}
