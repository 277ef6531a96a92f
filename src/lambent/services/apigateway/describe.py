"""REST APIs as AWS's answers show them: from `domain` to the members of the model's shapes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lambent.services.apigateway.domain import (
    AccountSettings,
    Authorizer,
    DeploymentSummary,
    GatewayResponse,
    Integration,
    IntegrationResponse,
    Method,
    MethodResponse,
    MethodSettings,
    Model,
    RequestValidator,
    Resource,
    RestApi,
    Stage,
    Throttle,
)
from lambent.services.apigateway.gateway_responses import effective

Described = dict[str, Any]


def rest_api(api: RestApi, *, tags: bool = False) -> Described:
    """`tags`: with its tags even if it has none, as AWS answers an update."""
    shown: Described = {
        "id": api.id,
        "name": api.name,
        "createdDate": api.created_s,
        "apiKeySource": api.api_key_source,
        "endpointConfiguration": {"types": [api.endpoint_type], "ipAddressType": api.ip_address_type},
        "disableExecuteApiEndpoint": api.disable_execute_api_endpoint,
        "rootResourceId": api.root_id,
        "minimumCompressionSize": api.minimum_compression_size,
        # AWS answers the policy as the inside of a JSON string, quotes escaped; clients undo it.
        "policy": json.dumps(api.policy)[1:-1] if api.policy else None,
        "tags": dict(api.tags) if api.tags or tags else None,
    }
    return shown | _given(
        description=api.description, version=api.version, binaryMediaTypes=list(api.binary_media_types)
    )


def resource(found: Resource, *, methods: bool = False) -> Described:
    """`methods`: whole, instead of their names alone."""
    show: Callable[[Method], Described] = method if methods else lambda _: {}
    return {"id": found.id, "path": found.path} | _given(
        parentId=found.parent_id,
        pathPart=found.path_part,
        resourceMethods={name: show(one) for name, one in sorted(found.methods.items())},
    )


def method(found: Method) -> Described:
    return {
        "httpMethod": found.http_method,
        "authorizationType": found.authorization_type,
        "apiKeyRequired": False,
        "methodIntegration": None if found.integration is None else integration(found.integration),
    } | _given(
        authorizerId=found.authorizer_id,
        requestValidatorId=found.request_validator_id,
        operationName=found.operation_name,
        requestParameters=dict(found.request_parameters),
        requestModels=dict(found.request_models),
        methodResponses={code: method_response(one) for code, one in sorted(found.responses.items())},
    )


def method_response(found: MethodResponse) -> Described:
    return {"statusCode": found.status_code} | _given(
        responseParameters=dict(found.parameters), responseModels=dict(found.models)
    )


def integration(found: Integration) -> Described:
    return {
        "type": found.type,
        "passthroughBehavior": found.passthrough_behavior,
        "timeoutInMillis": found.timeout_ms,
        "cacheNamespace": found.cache_namespace,
        "cacheKeyParameters": list(found.cache_key_parameters),
        "contentHandling": found.content_handling,
        "connectionType": found.connection_type,
        "tlsConfig": _tls(found.insecure_skip_verification),
    } | _given(
        httpMethod=found.http_method,
        uri=found.uri,
        credentials=found.credentials,
        requestParameters=dict(found.request_parameters),
        requestTemplates=dict(found.request_templates),
        integrationResponses={code: integration_response(one) for code, one in sorted(found.responses.items())},
        responseTransferMode=found.response_transfer_mode,
    )


def integration_response(found: IntegrationResponse) -> Described:
    return {
        "statusCode": found.status_code,
        "selectionPattern": found.selection_pattern,
        "contentHandling": found.content_handling,
    } | _given(responseParameters=dict(found.parameters), responseTemplates=dict(found.templates))


def deployment(found: DeploymentSummary) -> Described:
    return {"id": found.id, "createdDate": found.created_s, **_given(description=found.description)}


def api_summary(api: RestApi) -> Described:
    """Methods by path and name, as a deployment shows what it holds."""
    return {
        one.path: {
            name: {"authorizationType": found.authorization_type, "apiKeyRequired": False}
            for name, found in sorted(one.methods.items())
        }
        for one in by_path(api.resources.values())
        if one.methods
    }


def stage(found: Stage, throttle: Throttle) -> Described:
    """`throttle` is the account's, which AWS shows where a method's settings name none."""
    shown = {
        "deploymentId": found.deployment_id,
        "stageName": found.name,
        "cacheClusterEnabled": False,
        "cacheClusterStatus": "NOT_AVAILABLE",
        "methodSettings": {key: method_settings(one, throttle) for key, one in sorted(found.method_settings.items())},
        "tracingEnabled": found.tracing_enabled,
        "createdDate": found.created_s,
        "lastUpdatedDate": found.updated_s,
        "accessLogSettings": found.access_log
        and _given(format=found.access_log.format, destinationArn=found.access_log.destination_arn),
    }
    return shown | _given(description=found.description, variables=dict(found.variables), tags=dict(found.tags))


def method_settings(found: MethodSettings, throttle: Throttle) -> Described:
    burst, rate = found.throttling_burst_limit, found.throttling_rate_limit
    return {
        "metricsEnabled": found.metrics_enabled,
        "dataTraceEnabled": found.data_trace_enabled,
        "throttlingBurstLimit": throttle.burst_limit if burst is None else burst,
        "throttlingRateLimit": throttle.rate_limit if rate is None else rate,
        # No stage has a cache here; these are what AWS shows of one that is off.
        "cachingEnabled": False,
        "cacheTtlInSeconds": 300,
        "cacheDataEncrypted": False,
        "requireAuthorizationForCacheControl": True,
        "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
    } | _given(loggingLevel=found.logging_level)


def authorizer(found: Authorizer) -> Described:
    return {
        "id": found.id,
        "name": found.name,
        "type": found.type,
        "authorizerUri": found.uri,
        "authorizerResultTtlInSeconds": found.given_ttl_s,
    } | _given(
        authType=found.auth_type,
        authorizerCredentials=found.credentials,
        identitySource=found.identity_source,
        identityValidationExpression=found.identity_validation_expression,
    )


def request_validator(found: RequestValidator) -> Described:
    return {
        "id": found.id,
        "name": found.name,
        "validateRequestBody": found.validates_body,
        "validateRequestParameters": found.validates_parameters,
    }


def model(found: Model, schema: str | None = None) -> Described:
    """`schema`: another one than its own, such as with every reference resolved."""
    text = found.schema if schema is None else schema
    return {"id": found.id, "name": found.name, "contentType": found.content_type} | _given(
        description=found.description, schema=text
    )


def gateway_response(changed: Mapping[str, GatewayResponse], response_type: str) -> Described:
    found = effective(changed, response_type)
    return {
        "responseType": response_type,
        "statusCode": found.status_code,
        "responseParameters": dict(found.parameters),
        "responseTemplates": dict(found.templates),
        "defaultResponse": response_type not in changed,
    }


def account(found: AccountSettings) -> Described:
    throttle = {"burstLimit": found.throttle.burst_limit, "rateLimit": found.throttle.rate_limit}
    return {"throttleSettings": throttle, "features": [], "apiKeyVersion": "4"} | _given(
        cloudwatchRoleArn=found.cloudwatch_role_arn
    )


def by_path(resources: Iterable[Resource]) -> list[Resource]:
    return sorted(resources, key=lambda one: one.path)


def _given(**members: Any) -> Described:
    """Those that say something: AWS leaves out what is empty."""
    return {name: value for name, value in members.items() if value}


def _tls(insecure: bool | None) -> Described | None:
    return None if insecure is None else {"insecureSkipVerification": insecure}
