"""TestInvokeMethod and TestInvokeAuthorizer: requests made up, and answered by the data plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambent.context import Context
from lambent.services.apigateway import resource_tree, stages
from lambent.services.apigateway.changes import Apis
from lambent.services.apigateway.errors import UnsupportedHere, no_resource
from lambent.services.apigateway.operations import authorizers
from lambent.services.apigateway.tester import MultiValues, Tester, TestRequest


class TestInvokeOperations:
    __test__ = False

    def __init__(self, apis: Apis, tester: Tester) -> None:
        self._apis = apis
        self._tester = tester

    async def TestInvokeMethod(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("clientCertificateId"):
            raise UnsupportedHere("clientCertificateId", "it has no client certificates.")
        api = await self._apis.find(context, params["restApiId"], no_resource())
        resource = resource_tree.resource(api, params["resourceId"])
        method = resource_tree.method(api, resource.id, params["httpMethod"])
        result = await self._tester.test_method(api, resource, method, _request(context, params, resource.path))
        return {
            "status": result.status,
            "body": result.body,
            "headers": _single(result.headers),
            "multiValueHeaders": _lists(result.headers),
            "log": result.log,
            "latency": result.latency_ms,
        }

    async def TestInvokeAuthorizer(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        api = await self._apis.find(context, params["restApiId"], authorizers.no_authorizer())
        authorizer = authorizers.find(api, params["authorizerId"])
        result = await self._tester.test_authorizer(
            api, authorizer, _request(context, params, "/"), params.get("additionalContext") or {}
        )
        answer: dict[str, Any] = {"clientStatus": result.status, "log": result.log, "latency": result.latency_ms}
        if result.status == 200:
            answer |= {"principalId": result.principal_id, "policy": result.policy, "claims": dict(result.claims)}
        return answer


def _request(context: Context, params: Mapping[str, Any], path: str) -> TestRequest:
    headers: dict[str, list[str]] = {name: [value] for name, value in (params.get("headers") or {}).items()}
    headers |= {name: list(values) for name, values in (params.get("multiValueHeaders") or {}).items()}
    asked = params.get("pathWithQueryString") or path
    return TestRequest(
        request_id=context.request_id,
        path_with_query=asked if asked.startswith("/") else f"/{asked}",
        headers=headers,
        body=params.get("body") or "",
        stage_variables=stages.checked_variables(params.get("stageVariables")),
    )


def _single(headers: MultiValues) -> dict[str, str]:
    return {name: values[-1] for name, values in headers.items() if values}


def _lists(headers: MultiValues) -> dict[str, list[str]]:
    return {name: list(values) for name, values in headers.items()}
