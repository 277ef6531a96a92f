"""Restores of SnapStart: one after the other, and a hundred at once, for a plain function and for one with pandas."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from bench import load
from bench.region import ROLE, Region

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
CACHE = Path(__file__).resolve().parent.parent / ".cache" / f"bench-pandas-{PYTHON}"
#: Every Python may have SnapStart: the one that runs the benchmark is measured.
CONFIGURATION = "[snap_start]\nevery_python = true\n"
#: Asked to, it ends, so that the next invocation needs another environment.
PLAIN = """import os, time

def handler(event, context):
    if event.get("end"):
        os._exit(0)
    entered = time.time()
    time.sleep(event.get("stay", 0))
    return entered
"""
PANDAS = f"import numpy, pandas\nframe = pandas.DataFrame({{'a': numpy.arange(1000)}})\n{PLAIN}"
AT_ONCE = 100
_RESTORED = re.compile(r"Restore Duration: ([\d.]+) ms")


@dataclass
class Figures:
    """Milliseconds."""

    #: From request to handler, as the client sees it.
    entered: list[float] = field(default_factory=list)
    #: As REPORT tells.
    restored: list[float] = field(default_factory=list)


def deploy(region: Region, name: str, code: str, layers: list[str]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", code)
    region.lambda_.create_function(
        FunctionName=name,
        Runtime=PYTHON,
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": buffer.getvalue()},
        Layers=layers,
        MemorySize=512,
        Timeout=30,
        SnapStart={"ApplyOn": "PublishedVersions"},
        Publish=True,
    )
    while (found := _version(region, name))["State"] == "Pending":
        time.sleep(0.01)
    if found["SnapStart"]["OptimizationStatus"] != "On":
        raise LookupError(found.get("StateReason", "There is no snapshot."))


def _version(region: Region, name: str) -> dict[str, object]:
    found: dict[str, object] = region.lambda_.get_function_configuration(FunctionName=name, Qualifier="1")
    return found


def pandas_layer(region: Region) -> str:
    """ARN of a layer with numpy and pandas as they come from PyPI, without their tests."""
    if not CACHE.exists():
        staging = CACHE.with_suffix(".new")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(staging / "python")]
        subprocess.run([*command, "numpy", "pandas"], check=True)
        for folder in [*staging.rglob("tests"), *staging.rglob("__pycache__")]:
            shutil.rmtree(folder, ignore_errors=True)
        staging.rename(CACHE)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in CACHE.rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(CACHE))
    content = {"ZipFile": buffer.getvalue()}
    arn: str = region.lambda_.publish_layer_version(LayerName="pandas", Content=content)["LayerVersionArn"]
    return arn


def measure(region: Region, name: str, restores: int) -> Figures:
    """One restore at a time."""
    figures = Figures()
    for number in range(-2, restores):
        _wait_until_ready(region)
        entered, restored = _invoke(region, name)
        if number >= 0:  # the first ones fill the pool
            figures.entered.append(entered)
            figures.restored.append(restored)
        _send(region, name, {"end": True}).getresponse().read()
    return figures


def measure_burst(region: Region, name: str) -> tuple[float, int]:
    """Milliseconds until the last of a hundred at once entered its handler, and how many failed."""
    _wait_until_ready(region)
    began = time.time()
    connections = [_send(region, name, {"stay": 2}) for _ in range(AT_ONCE)]
    responses = [connection.getresponse() for connection in connections]
    failed = sum(response.status != 200 or "x-amz-function-error" in response.headers for response in responses)
    return (max(json.loads(response.read()) for response in responses) - began) * 1000, failed


def _invoke(region: Region, name: str) -> tuple[float, float]:
    sent = time.time()
    response = _send(region, name, {}).getresponse()
    entered = json.loads(response.read())
    log = base64.b64decode(response.getheader("x-amz-log-result") or "").decode()
    found = _RESTORED.search(log)
    if found is None:
        raise LookupError(f"It was not restored: {log}")
    return (entered - sent) * 1000, float(found[1])


def _send(region: Region, name: str, event: dict[str, object]) -> http.client.HTTPConnection:
    body = json.dumps(event).encode()
    path, headers = region.signed_invoke(f"{name}:1", body, X_Amz_Log_Type="Tail")
    connection = region.connect()
    connection.request("POST", path, body, headers)
    return connection


def _wait_until_ready(region: Region) -> None:
    """Restores that come one at a time find the next environment waiting."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        sandboxes = region.statistics()["sandboxes"]
        kept = sandboxes["snapshots"]
        if kept["ready"] >= kept["snapshots"] and not kept["entering"] and not sandboxes["shells"]["building"]:
            return
        time.sleep(0.02)


def figures_of(times: list[float], runs: int) -> list[float]:
    """A median for each run."""
    return [load.percentile(times[i::runs], 0.5) for i in range(runs)]
