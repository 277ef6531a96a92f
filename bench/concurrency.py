"""From nothing to a thousand invocations at once, of one function or of many: `python -m bench.concurrency`.

Asks for more than the account's limit, so that what is over it must be throttled, and no more than that. Afterwards it
looks at what the idle environments take, and waits until idling has ended them all. Ends with 1 where that is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.region import Region

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
ONE_SECOND = {"app.py": "import time\n\ndef handler(event, context):\n    time.sleep(1)\n    return 1\n"}

LIMIT = 1000
#: Requests beyond the limit.
SURPLUS = 50
IDLE_SECONDS = 10
#: Processes of the region itself that may come and go: its pool of shells.
SLACK = 12


@dataclass
class Figures:
    #: Until the last one was answered, seconds.
    answered_s: float
    succeeded: int
    #: Reason → how often.
    throttled: dict[str, int]
    #: Anything else.
    wrong: list[str]
    environments: int
    #: Of its own, each idle environment, MB of PSS.
    idle_mb: float
    #: Until no idle environment was left, seconds; 0 where some stay.
    gone_s: float

    @property
    def holds(self) -> bool:
        return (
            self.succeeded == LIMIT
            and self.throttled == {"ConcurrentInvocationLimitExceeded": SURPLUS}
            and not self.wrong
            and self.gone_s > 0
        )


def measure(functions: int) -> Figures:
    """`LIMIT + SURPLUS` requests at once, in turn over so many functions."""
    with Region("--account-concurrency", str(LIMIT), "--idle-timeout", str(IDLE_SECONDS)) as region:
        names = [f"second-{number}" for number in range(functions)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: region.deploy(name, PYTHON, "app.handler", ONE_SECOND, Timeout=60), names))
        wait_for_pool(region)
        before, processes = region.pss(), len(region.tree())
        answered_s, answers = asyncio.run(_all_at_once(region, names))
        environments = region.statistics()["invoker"]["idle"]
        idle_mb = (region.pss() - before) / max(1, environments) / 1e6
        gone_s = _until_gone(region, processes)
    throttled = collections.Counter(json.loads(body)["Reason"] for status, body in answers if status == 429)
    return Figures(
        answered_s,
        sum(answer == (200, b"1") for answer in answers),
        dict(throttled),
        [f"{status} {body[:200]!r}" for status, body in answers if status != 429 and (status, body) != (200, b"1")],
        environments,
        idle_mb,
        gone_s,
    )


def wait_for_pool(region: Region) -> None:
    """Until nothing is being made ahead any more."""
    deadline = time.monotonic() + 10
    while region.statistics()["sandboxes"]["shells"].get("building") and time.monotonic() < deadline:
        time.sleep(0.05)


async def _all_at_once(region: Region, names: list[str]) -> tuple[float, list[tuple[int, bytes]]]:
    signed = {name: region.signed_invoke(name, b"{}") for name in names}
    connections = [await asyncio.open_connection(region.host, region.port) for _ in range(LIMIT + SURPLUS)]
    began = time.perf_counter()
    answers = await asyncio.gather(
        *(
            _post(reader, writer, *signed[names[number % len(names)]])
            for number, (reader, writer) in enumerate(connections)
        )
    )
    seconds = time.perf_counter() - began
    for _, writer in connections:
        writer.close()
    return seconds, answers


async def _post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, headers: dict[str, str]
) -> tuple[int, bytes]:
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines = [line for line in lines if not line.lower().startswith("content-length")]
    writer.write("\r\n".join([*lines, "Content-Length: 2", "", "{}"]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in head if line.lower().startswith(b"content-length:"))
    return int(head[0].split()[1]), await reader.readexactly(length)


def _until_gone(region: Region, processes: int) -> float:
    began = time.perf_counter()
    while (seconds := time.perf_counter() - began) < IDLE_SECONDS + 60:
        if region.statistics()["invoker"]["idle"] == 0 and len(region.tree()) <= processes + SLACK:
            return seconds
        time.sleep(0.2)
    return 0.0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--functions", type=int, nargs="+", default=[1, 200])
    status = 0
    for functions in options.parse_args().functions:
        figures = measure(functions)
        print(f"{functions} function(s), {LIMIT + SURPLUS} requests at once: {figures}", flush=True)
        status |= not figures.holds
    return status


if __name__ == "__main__":
    sys.exit(main())
