"""A region with ten thousand functions beside an empty one: `python -m bench.control_plane`.

Lists, look-ups, warm invocations, memory and restarts, each beside its goal. Every function has a package of its own,
and twenty of them have fifty published versions, each of other code: nothing is shared that need not be.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import io
import statistics
import sys
import time
import zipfile
from collections.abc import Callable
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from rich.console import Console

from bench.__main__ import PYTHON, PYTHON_HELLO, Row, render
from bench.leaks import resident_mib
from bench.region import ROLE, Region

NAME = b'{"name": "Ada"}'
WORKERS = 6


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--functions", type=int, default=10_000)
    options.add_argument("--versioned", type=int, default=20, help="how many functions have versions")
    options.add_argument("--versions", type=int, default=50)
    arguments = options.parse_args()
    console = Console(width=150)
    with Region() as empty, Region() as full:
        for region in (empty, full):
            region.deploy("hello", PYTHON, "app.handler", PYTHON_HELLO)
        began = time.perf_counter()
        fill(full, arguments.functions - 1, arguments.versioned, arguments.versions)
        console.print(f"… filled in {time.perf_counter() - began:.0f} s", style="dim")
        rows = [*lists(full), look_ups(full, arguments.functions), *invocations(empty, full), memory(full)]
        rows += restarts(full)
    console.print(render(rows, "A region with many functions"))
    return 0 if all(row.met != "no" for row in rows) else 1


# ---- filling ----


def fill(region: Region, functions: int, versioned: int, versions: int) -> None:
    client = _client(region)

    def create(number: int) -> None:
        client.create_function(
            FunctionName=f"function-{number:05}",
            Runtime=PYTHON,
            Handler="app.handler",
            Role=ROLE,
            Description=f"Function number {number} of a large application",
            Environment={"Variables": {"TABLE": f"table-{number}", "STAGE": "production"}},
            Code={"ZipFile": package(f"{number}")},
        )

    def publish(number: int) -> None:
        for version in range(versions):
            code = package(f"{number}.{version}")
            client.update_function_code(FunctionName=f"function-{number:05}", ZipFile=code, Publish=True)

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as workers:
        list(workers.map(create, range(functions)))
        list(workers.map(publish, range(versioned)))


def package(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", f"def handler(event, context):\n    return {text!r}\n")
    return buffer.getvalue()


# ---- measuring ----


def lists(region: Region) -> list[Row]:
    """As a boto3 client sees them, its own parsing included."""
    client = _client(region)
    plain = Row("ListFunctions, all pages", "≤ 3 s", "s", most=3)
    every = Row("ListFunctions of all versions, all pages", "", "s")
    for _ in range(3):
        for row, params in ((plain, {}), (every, {"FunctionVersion": "ALL"})):
            began = time.perf_counter()
            pages = client.get_paginator("list_functions").paginate(**params)
            count = sum(len(page["Functions"]) for page in pages)
            row.values.append(time.perf_counter() - began)
            row.remark = f"{count} entries, by boto3"
    return [plain, every]


def look_ups(region: Region, functions: int) -> Row:
    paths = [f"/2015-03-31/functions/function-{number * 37 % (functions - 1):05}" for number in range(1000)]
    latencies = timed(_requests(region, region.connect(), "GET", paths))
    return Row("GetFunction, 1 connection, p50", "≤ 3 ms", "ms", [1000 * statistics.median(latencies)], most=3)


def invocations(empty: Region, full: Region) -> list[Row]:
    """Rounds in turn, so that what else this machine does falls on both."""
    path = "/2015-03-31/functions/hello/invocations"
    asks = {region: _requests(region, region.connect(), "POST", [path], NAME)[0] for region in (empty, full)}
    medians: dict[Region, list[float]] = {empty: [], full: []}
    for ask in asks.values():
        timed([ask] * 200)
    for _ in range(15):
        for region, ask in asks.items():
            medians[region].append(1000 * statistics.median(timed([ask] * 300)))
    ratio = statistics.median(medians[full]) / statistics.median(medians[empty])
    return [
        Row("warm invoke, empty region, p50", "", "ms", medians[empty]),
        Row("warm invoke, full region, p50", "", "ms", medians[full]),
        Row("full / empty", "≤ 1.1", "×", [ratio], most=1.1),
    ]


def memory(region: Region) -> Row:
    return Row("memory of the server", "≤ 300 MiB", "MiB", [resident_mib(region.process.pid)], most=300)


def restarts(region: Region) -> list[Row]:
    """From spawn to `Ready.`, then the memory again: what filling left behind in the heap is gone."""
    row = Row("restart", "≤ 2 s", "s", most=2)
    for _ in range(5):
        region.process.terminate()
        region.process.wait(timeout=60)
        region.__enter__()
        row.values.append(region.start_seconds)
    fresh = Row("memory of the server after a restart", "≤ 300 MiB", "MiB", most=300)
    fresh.values.append(resident_mib(region.process.pid))
    return [row, fresh]


def timed(calls: list[Callable[[], None]]) -> list[float]:
    """Seconds of each, one after another."""
    latencies = []
    for call in calls:
        began = time.perf_counter()
        call()
        latencies.append(time.perf_counter() - began)
    return latencies


def _requests(
    region: Region, connection: http.client.HTTPConnection, method: str, paths: list[str], body: bytes = b""
) -> list[Callable[[], None]]:
    """Requests over one connection, signed beforehand: each may be sent again and again."""

    def signed(path: str) -> Callable[[], None]:
        request = AWSRequest(method, region.url + path, data=body)
        SigV4Auth(region.credentials, "lambda", region.name).add_auth(request)
        headers = dict(request.headers.items())

        def send() -> None:
            connection.request(method, path, body=body or None, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{method} {path} answered {answer.status}: {content.decode()}")

        return send

    return [signed(path) for path in paths]


def _client(region: Region) -> Any:
    key = region.credentials
    session = boto3.Session(key.access_key, key.secret_key, region_name=region.name)
    config = Config(max_pool_connections=WORKERS, retries={"total_max_attempts": 1})
    return session.client("lambda", endpoint_url=region.url, config=config)


if __name__ == "__main__":
    sys.exit(main())
