"""Concurrency and memory as a region's clients meet them."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config as ClientConfig

from tests.conftest import Region, wait_until
from tests.roles import ROLE

pytestmark = pytest.mark.slow

SOURCE = """
import time
def handler(event, context):
    time.sleep(event.get("sleep", 0))
    return event
"""

Start = Callable[..., Region]


def configured(start_region: Start, folder: Path, **settings: Any) -> Region:
    """A region whose configuration file says so."""
    data_dir = folder / "configured"
    data_dir.mkdir()
    lines = [f"{name.replace('_', '-')} = {value}" for name, value in settings.items()]
    (data_dir / "lambent.toml").write_text("\n".join(lines))
    return start_region(data_dir=data_dir)


def client(region: Region) -> Any:
    return region.client(
        "lambda", config=ClientConfig(retries={"total_max_attempts": 1}, max_pool_connections=50, read_timeout=60)
    )


def create(lambda_: Any, name: str) -> None:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", SOURCE)
    lambda_.create_function(
        FunctionName=name, Runtime="python3.12", Handler="app.handler", Role=ROLE,
        Timeout=20, Code={"ZipFile": package.getvalue()},
    )  # fmt: skip
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})


def invoke(lambda_: Any, name: str, **event: Any) -> str:
    """Returns the REPORT line."""
    answer = lambda_.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"].read()) == event
    return base64.b64decode(answer["LogResult"]).decode().rstrip("\n").rsplit("\n", 1)[-1]


def test_more_than_the_accounts_concurrency_is_throttled_with_its_reason(start_region: Start, tmp_path: Path) -> None:
    region = configured(start_region, tmp_path, account_concurrency=2)
    lambda_ = client(region)
    create(lambda_, "f")
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(invoke, lambda_, "f", sleep=3) for _ in range(2)]
        wait_until(lambda: region.request("GET", "/_lambent/statistics", sign="lambda").json()["invoker"]["busy"] == 2)

        def throttled() -> Any:
            try:
                invoke(lambda_, "f")
            except lambda_.exceptions.TooManyRequestsException as error:
                # Asking in a loop may run into the other limit first, ten requests a second for each unit.
                return error if error.response["Reason"] != "FunctionInvocationRateLimitExceeded" else None
            return None

        error = wait_until(throttled)
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert (error.response["Reason"], error.response["message"]) == (
            "ConcurrentInvocationLimitExceeded",
            "Rate Exceeded.",
        )
        assert error.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
        assert error.response["Error"]["Code"] == "TooManyRequestsException"
        for call in running:
            call.result()
    invoke(lambda_, "f")


def test_scarce_memory_makes_room_by_ending_what_is_idle(start_region: Start, tmp_path: Path) -> None:
    lambda_ = client(configured(start_region, tmp_path, memory_budget=60))
    for name in ("a", "b", "c"):
        create(lambda_, name)
    for name in ("a", "b"):
        assert "Init Duration" in invoke(lambda_, name)
    for name in ("a", "b"):
        assert "Init Duration" not in invoke(lambda_, name)
    assert "Init Duration" in invoke(lambda_, "c")
    # Room for c was made by ending one of the others.
    assert any("Init Duration" in invoke(lambda_, name) for name in ("a", "b"))


def test_requests_wait_for_memory_and_are_all_answered(start_region: Start, tmp_path: Path) -> None:
    lambda_ = client(configured(start_region, tmp_path, memory_budget=100))
    names = [f"f{index}" for index in range(4)]
    for name in names:
        create(lambda_, name)
    with ThreadPoolExecutor(24) as threads:
        calls = [threads.submit(invoke, lambda_, name, sleep=0.02) for name in names * 6]
        assert all(call.result().startswith("REPORT ") for call in calls)


def test_a_burst_of_cold_starts_is_answered(start_region: Start) -> None:
    lambda_ = client(start_region())
    create(lambda_, "f")
    with ThreadPoolExecutor(40) as threads:
        calls = [threads.submit(invoke, lambda_, "f", n=index, sleep=0.2) for index in range(40)]
        reports = [call.result() for call in calls]
    assert sum("Init Duration" in report for report in reports) > 1
