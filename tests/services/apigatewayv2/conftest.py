"""An API Gateway V2 client on a real region, and refusals to compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:hello"


@pytest.fixture(scope="module")
def client(region: Any) -> Any:
    return region.client("apigatewayv2")


@pytest.fixture
def api(client: Any) -> Iterator[str]:
    """The id of an API of this test's own."""
    created = client.create_api(Name="test", ProtocolType="HTTP")["ApiId"]
    yield created
    client.delete_api(ApiId=created)


@pytest.fixture
def integration(client: Any, api: str) -> str:
    return str(
        client.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=FUNCTION, PayloadFormatVersion="2.0"
        )["IntegrationId"]
    )


@pytest.fixture
def refused(client: Any) -> Callable[..., tuple[int, str, str]]:
    """`refused(call, **params)` → (status, code, message)."""

    def run(call: Callable[..., Any], **params: Any) -> tuple[int, str, str]:
        with pytest.raises(client.exceptions.ClientError) as refusal:
            call(**params)
        response = refusal.value.response
        error = response["Error"]
        return response["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]

    return run
