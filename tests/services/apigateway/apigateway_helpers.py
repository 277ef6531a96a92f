"""What the tests of REST APIs share: an API to change, and refusals to compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ACCOUNT = "000000000000"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:hello"
URI = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{FUNCTION}/invocations"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/gateway"


class Api:
    """One API and what is usually asked of it."""

    def __init__(self, client: Any, **settings: Any) -> None:
        self.client = client
        created = client.create_rest_api(**{"name": "shop", **settings})
        self.id: str = created["id"]
        self.root: str = created["rootResourceId"]
        self.pets = self.resource("pets")

    def resource(self, part: str, parent: str | None = None) -> str:
        created = self.client.create_resource(restApiId=self.id, parentId=parent or self.root, pathPart=part)
        return str(created["id"])

    def at(self, method: str = "GET", resource: str | None = None) -> dict[str, str]:
        """The parameters that name a method."""
        return {"restApiId": self.id, "resourceId": resource or self.pets, "httpMethod": method}

    def method(self, method: str = "GET", resource: str | None = None, **settings: Any) -> Any:
        return self.client.put_method(**self.at(method, resource), **{"authorizationType": "NONE", **settings})

    def mock(self, method: str = "GET", resource: str | None = None) -> None:
        """A method with a MOCK integration."""
        self.method(method, resource)
        self.client.put_integration(
            **self.at(method, resource), type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
        )

    def deployed(self, stage: str = "prod", **settings: Any) -> str:
        """A new deployment, shown by `stage`."""
        return str(self.client.create_deployment(restApiId=self.id, stageName=stage, **settings)["id"])

    def authorizer(self, name: str = "gate", **settings: Any) -> Any:
        return self.client.create_authorizer(
            **{
                "restApiId": self.id,
                "name": name,
                "type": "TOKEN",
                "authorizerUri": URI,
                "identitySource": "method.request.header.Authorization",
                **settings,
            }
        )


class Refusal:
    """What a refused call answered, for `assert refused(call) == (status, code, message)`."""

    def __init__(self, client: Any) -> None:
        self._error = client.exceptions.ClientError

    def __call__(self, call: Callable[..., Any], **params: Any) -> tuple[int, str, str]:
        with pytest.raises(self._error) as refusal:
            call(**params)
        response = refusal.value.response
        error = response["Error"]
        return response["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]


def bad(message: str) -> tuple[int, str, str]:
    return 400, "BadRequestException", message


def missing(message: str) -> tuple[int, str, str]:
    return 404, "NotFoundException", message


def conflict(message: str) -> tuple[int, str, str]:
    return 409, "ConflictException", message


def replace(path: str, value: str) -> list[dict[str, str]]:
    """One patch operation."""
    return [{"op": "replace", "path": path, "value": value}]


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what HTTP adds."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
