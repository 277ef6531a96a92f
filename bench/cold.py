"""One cold start, measured from outside."""

from __future__ import annotations

import json
import time

from bench.region import Region


def wait_for_pool(region: Region, runtime: str) -> None:
    """Until a process of `runtime` waits for its function again and nothing else is being made: starts that come one
    at a time find it so. Starts that come all at once are the burst's row."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        shells = region.statistics()["sandboxes"]["shells"]
        if shells["started"].get(runtime) and not shells["building"]:
            return
        time.sleep(0.02)


def cold_invoke(region: Region, name: str) -> float:
    path, headers = region.signed_invoke(name, b"{}")
    connection = region.connect()
    sent = time.time()
    connection.request("POST", path, b"{}", headers)
    entered = json.loads(connection.getresponse().read())
    return (entered - sent) * 1000
