"""A Lambda client on a real region, and the service's own objects for what needs a fake clock or a crash."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lambda_helpers import Refusal, definition


@pytest.fixture(scope="module")
def client(region: Any) -> Any:
    return region.client("lambda")


@pytest.fixture
def name(request: pytest.FixtureRequest, _numbers: itertools.count[int]) -> str:
    """A function name of this test's own."""
    return f"{request.node.originalname[:40].strip('_')}-{next(_numbers)}"


@pytest.fixture(scope="session")
def _numbers() -> itertools.count[int]:
    return itertools.count()


@pytest.fixture
def create(client: Any, name: str) -> Callable[..., dict[str, Any]]:
    """Creates this test's function and waits until it is active."""

    def run(**changes: Any) -> dict[str, Any]:
        created: dict[str, Any] = client.create_function(**definition(name, **changes))
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 200})
        return created

    return run


@pytest.fixture
def refused(client: Any) -> Refusal:
    return Refusal(client)


@pytest.fixture
def passable() -> Iterator[Path]:
    """A folder that other users reach, as root's functions do without a mount namespace."""
    with tempfile.TemporaryDirectory(prefix="lambent-passable-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
