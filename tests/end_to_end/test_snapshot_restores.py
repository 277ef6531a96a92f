"""What comes out of snapshots of real functions: pandas, many at once, secrets; and hooks where there is none."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config as ClientConfig
from test_snap_start_functions import CONFIGURATION, ON, ask, publish, version

from tests.conftest import wait_until

REGION_OPTIONS = ("--config", str(CONFIGURATION))
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / f"bench-pandas-{PYTHON}"

PANDAS = """
import os, threading, time
import numpy, pandas

frame = pandas.DataFrame({"a": numpy.arange(100_000), "b": numpy.random.random(100_000)})
generator = numpy.random.default_rng()

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    frame["c"] = frame.a * 2
    return {"sum": int(frame.c.sum()), "drawn": float(numpy.random.random()), "threads": threading.active_count(),
            "at_init": float(frame.b[0])}
"""


@pytest.fixture(scope="module")
def pandas_layer() -> bytes:
    """numpy and pandas as they come from PyPI, without their tests."""
    if not CACHE.exists():
        staging = CACHE.with_suffix(".new")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(staging / "python")]
        if subprocess.run([*command, "numpy", "pandas"], check=False).returncode:
            pytest.skip("numpy and pandas cannot be installed here")
        for folder in [*staging.rglob("tests"), *staging.rglob("__pycache__")]:
            shutil.rmtree(folder, ignore_errors=True)
        staging.rename(CACHE)
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in CACHE.rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(CACHE))
    return package.getvalue()


@pytest.mark.slow
def test_numpy_and_pandas_are_restored_with_random_numbers_of_each_ones_own(region: Any, pandas_layer: bytes) -> None:
    content = {"ZipFile": pandas_layer}
    layer = region.client("lambda").publish_layer_version(LayerName="pandas", Content=content)["LayerVersionArn"]
    settings = {"Runtime": PYTHON, "Layers": [layer], "MemorySize": 1024, "Timeout": 30}
    client = publish(region, "pandas", PANDAS, **settings)
    assert version(client, "pandas")["SnapStart"] == {**ON, "OptimizationStatus": "On"}
    many = region.client("lambda", config=ClientConfig(max_pool_connections=6, retries={"total_max_attempts": 1}))
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda _: ask(many, "pandas", {"sleep": 1}), range(6)))
    assert {one["sum"] for one in told} == {99_999 * 100_000}
    assert {one["threads"] for one in told} == {1}
    assert len({one["drawn"] for one in told}) == 6
    assert len({one["at_init"] for one in told}) == 1


COUNTING = """
import os, secrets, time
KEPT = secrets.token_hex(16)
with open("/tmp/model", "w") as file:
    file.write(KEPT)

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    if event.get("end"):
        os._exit(3)
    with open("/tmp/model") as file:
        model = file.read()
    with open("/tmp/model", "w") as file:
        file.write(context.aws_request_id)
    return [KEPT, model, context.log_stream_name]
"""


@pytest.mark.slow
def test_a_hundred_at_once_are_restored_each_to_a_place_of_its_own(region: Any) -> None:
    publish(region, "hundred", COUNTING, Timeout=60, MemorySize=128)
    many = region.client("lambda", config=ClientConfig(max_pool_connections=100, retries={"total_max_attempts": 1}))
    with ThreadPoolExecutor(100) as pool:
        told = list(pool.map(lambda _: ask(many, "hundred", {"sleep": 3}), range(100)))
    kept = {one[0] for one in told}
    assert len(kept) == 1
    streams = {one[2] for one in told}
    # Where they come slowly the first are used twice.
    assert len(streams) > 50
    # What the init left in /tmp is in each one's, and what one writes there in its own alone.
    assert sum(one[1] in kept for one in told) == len(streams)


def test_an_environment_that_ends_is_replaced_by_another_restore(region: Any) -> None:
    client = publish(region, "ending", COUNTING)
    first = ask(client, "ending")
    assert ask(client, "ending")[1] != first[0]
    failed = client.invoke(FunctionName="ending", Qualifier="1", Payload=b'{"end": true}')
    assert b"Runtime exited with error: exit status 3" in failed["Payload"].read()
    answer = client.invoke(FunctionName="ending", Qualifier="1", Payload=b"{}", LogType="Tail")
    kept, model, stream = json.load(answer["Payload"])
    assert (kept, model) == (first[0], first[0])
    assert stream != first[2]
    assert re.search(rb"Restore Duration: [\d.]+ ms", b64decode(answer["LogResult"]))


LOOKING = """
import os

def handler(event, context):
    found = []
    for pid in os.listdir("/proc"):
        for name in ("environ", "cmdline", "maps") if pid.isdigit() else ():
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    found.append((pid, event["secret"].encode() in file.read()))
            except OSError:
                pass
    return {"pids": sorted({int(pid) for pid, _ in found}), "found": any(hit for _, hit in found),
            "tmp": os.listdir("/tmp")}
"""


def test_a_secret_of_one_functions_init_is_not_shown_to_another(region: Any) -> None:
    client = publish(region, "keeping", COUNTING)
    secret = ask(client, "keeping")[0]
    publish(region, "looking", LOOKING)
    told = ask(client, "looking", {"secret": secret})
    assert told["found"] is False
    assert len(told["pids"]) <= 2
    assert told["tmp"] == []


HOOKED = """
import os, threading, time
from snapshot_restore_py import register_after_restore, register_before_snapshot
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
events = []
register_before_snapshot(events.append, "before")
register_after_restore(events.append, "after")

def handler(event, context):
    return events
"""


def test_hooks_run_where_a_version_starts_without_its_snapshot(region: Any) -> None:
    client = publish(region, "hooked", HOOKED)
    assert "2 threads" in version(client, "hooked")["StateReason"]
    assert ask(client, "hooked") == ["before", "after"]
    assert ask(client, "hooked", qualifier="$LATEST") == []


@pytest.mark.slow
def test_a_host_without_namespaces_says_so(start_region: Callable[..., Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="lambent-snapshots-") as folder:
        # Functions run as users of their own there, who need a way in.
        Path(folder).chmod(0o755)
        region = start_region("--isolation", "process", *REGION_OPTIONS, data_dir=Path(folder) / "data")
        found = version(publish(region, "plain", COUNTING), "plain")
        assert (found["State"], found["SnapStart"]["OptimizationStatus"]) == ("Active", "Off")
        assert "isolation" in found["StateReason"]
        region.stop()


def test_versions_that_go_take_their_snapshots_with_them(region: Any) -> None:
    client = publish(region, "going", COUNTING)
    ask(client, "going")

    def kept() -> int:
        statistics = region.request("GET", "/_lambent/statistics", sign="lambda").json()
        return int(statistics["sandboxes"]["snapshots"]["snapshots"])

    before = kept()
    client.delete_function(FunctionName="going", Qualifier="1")
    wait_until(lambda: kept() == before - 1, 10)
