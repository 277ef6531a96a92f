"""A CloudWatch Logs client on a real region, and names of each test's own."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def client(region: Any) -> Any:
    return region.client("logs")


@pytest.fixture(scope="session")
def _numbers() -> itertools.count[int]:
    return itertools.count()


@pytest.fixture
def name(request: pytest.FixtureRequest, _numbers: itertools.count[int]) -> str:
    """A log group's name, not yet taken."""
    return f"/test/{request.node.originalname[:60]}-{next(_numbers)}"


@pytest.fixture
def group(client: Any, name: str) -> str:
    """A log group with the streams `a` and `b`."""
    client.create_log_group(logGroupName=name)
    for stream in ("a", "b"):
        client.create_log_stream(logGroupName=name, logStreamName=stream)
    return name


@pytest.fixture(scope="session")
def now() -> int:
    """Milliseconds since the epoch, a minute ago: tests add to it."""
    return int(time.time() * 1000) - 60_000


@pytest.fixture
def put(client: Any, group: str) -> Callable[..., dict[str, Any]]:
    """put("a", (timestamp, message), …)"""

    def run(stream: str, *events: tuple[int, str], **options: Any) -> dict[str, Any]:
        log_events = [{"timestamp": timestamp, "message": message} for timestamp, message in events]
        answer: dict[str, Any] = client.put_log_events(
            logGroupName=group, logStreamName=stream, logEvents=log_events, **options
        )
        return answer

    return run
