"""An API Gateway client on a real region, and an API of a test's own."""

from __future__ import annotations

from typing import Any

import pytest
from apigateway_helpers import Api, Refusal


@pytest.fixture(scope="module")
def client(region: Any) -> Any:
    return region.client("apigateway")


@pytest.fixture
def api(client: Any) -> Api:
    """A new API with a resource `/pets`."""
    return Api(client)


@pytest.fixture
def refused(client: Any) -> Refusal:
    return Refusal(client)
