"""Load: `wrk` where it is installed (the honest choice at 16 connections), else a loop over one socket."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

WRK_SCRIPT = """
wrk.method = "POST"
wrk.body = {body}
{headers}
done = function(summary, latency, requests)
  io.write(string.format('{{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
      + summary.errors.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int


def available() -> bool:
    return shutil.which("wrk") is not None


def wrk(url: str, path: str, headers: dict[str, str], body: bytes, connections: int, seconds: float) -> Load:
    """Closed-loop load of `connections` for `seconds`."""
    lines = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK_SCRIPT.format(body=json.dumps(body.decode()), headers=lines))
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", script.name, url + path]
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    figures = json.loads(output.strip().splitlines()[-1])
    return Load(figures["requests"] / figures["seconds"], figures["p50"], figures["p99"], figures["errors"])


def one_by_one(connection, path: str, headers: dict[str, str], body: bytes, count: int) -> list[float]:
    """Milliseconds of each of `count` requests on one kept-alive raw socket, one after another."""
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    request = ("\r\n".join([*lines, f"Content-Length: {len(body)}"]) + "\r\n\r\n").encode() + body
    sock = connection.sock
    times = []
    for _ in range(count):
        started = time.perf_counter()
        sock.sendall(request)
        read_answer(sock)
        times.append((time.perf_counter() - started) * 1000)
    return times


def read_answer(sock) -> bytes:
    """One HTTP answer with a Content-Length; raises unless it is a 200 or a 202."""
    data = sock.recv(65536)
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
        raise SystemExit(f"The region answered {head.decode()} {body.decode()}")
    lower = head.lower()
    length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(65536)
    return body


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def spread(values: list[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


def cached(path: str) -> Path:
    """A folder that survives between runs."""
    folder = Path(__file__).parent.parent / ".cache" / path
    folder.mkdir(parents=True, exist_ok=True)
    return folder
