"""Payload format 1.0: the proxy event of REST APIs, and with `version` that of HTTP APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from lambent.edge.http_events.bodies import BinaryMediaTypes, by_content_type
from lambent.edge.http_events.payload_v2 import ApiFacts
from lambent.edge.http_events.request_facts import Facts, Pairs, grouped


class Identity(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who calls: mostly null, as AWS sends it."""

    sourceIp: str  # noqa: N815
    userAgent: str | None  # noqa: N815
    cognitoIdentityPoolId: str | None  # noqa: N815
    accountId: str | None  # noqa: N815
    cognitoIdentityId: str | None  # noqa: N815
    caller: str | None
    principalOrgId: str | None  # noqa: N815
    accessKey: str | None  # noqa: N815
    cognitoAuthenticationType: str | None  # noqa: N815
    cognitoAuthenticationProvider: str | None  # noqa: N815
    userArn: str | None  # noqa: N815
    user: str | None
    apiKey: str | UnsetType = UNSET  # noqa: N815
    apiKeyId: str | UnsetType = UNSET  # noqa: N815


class RequestContext(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    resourceId: str | None  # noqa: N815
    resourcePath: str  # noqa: N815
    httpMethod: str  # noqa: N815
    extendedRequestId: str  # noqa: N815
    requestTime: str  # noqa: N815
    #: With the stage: `/prod/pets/1`.
    path: str
    accountId: str  # noqa: N815
    protocol: str
    stage: str
    domainPrefix: str  # noqa: N815
    requestTimeEpoch: int  # noqa: N815
    requestId: str  # noqa: N815
    identity: Identity
    domainName: str  # noqa: N815
    apiId: str  # noqa: N815
    deploymentId: str | UnsetType = UNSET  # noqa: N815
    authorizer: Mapping[str, Any] | UnsetType = UNSET


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    version: str | UnsetType = UNSET
    resource: str
    path: str
    httpMethod: str  # noqa: N815
    headers: dict[str, str] | None
    multiValueHeaders: dict[str, list[str]] | None  # noqa: N815
    queryStringParameters: dict[str, str] | None  # noqa: N815
    multiValueQueryStringParameters: dict[str, list[str]] | None  # noqa: N815
    pathParameters: Mapping[str, str] | None  # noqa: N815
    stageVariables: Mapping[str, str] | None  # noqa: N815
    requestContext: RequestContext  # noqa: N815
    body: str | None
    isBase64Encoded: bool  # noqa: N815


_encode = msgspec.json.Encoder().encode


def event(
    facts: Facts,
    *,
    api: ApiFacts,
    resource: str,
    path: str,
    context_path: str,
    stage: str,
    extended_request_id: str,
    resource_id: str | None = None,
    deployment_id: str | None = None,
    path_parameters: Mapping[str, str] | None = None,
    stage_variables: Mapping[str, str] | None = None,
    authorizer: Mapping[str, Any] | None = None,
    identity: Mapping[str, str | None] | None = None,
    binary: BinaryMediaTypes | None = None,
    version: str | None = None,
    header_pairs: Pairs | None = None,
) -> bytes:
    """The event's JSON.

    `resource` is the template (`/pets/{id}`), `path` the request's without stage, `context_path` with it. `identity`
    overrides members of requestContext.identity. REST APIs give `binary`; HTTP APIs `version="1.0"` and no `binary`:
    their bodies are encoded by content type and their header names are lower-case.
    """
    if binary is None:
        text, is_base64 = by_content_type(facts.body, facts.header("content-type"))
        body: str | None = text or None
    else:
        body, is_base64 = binary.encode(facts.body, facts.header("content-type"))
    if header_pairs is None:
        header_pairs = facts.headers if binary is None else facts.cased_headers
    headers = grouped(header_pairs)
    query = grouped(facts.query)
    return _encode(
        Event(
            version=version or UNSET,
            resource=resource,
            path=path,
            httpMethod=facts.method,
            headers=last_values(headers) or None,
            multiValueHeaders=headers or None,
            queryStringParameters=last_values(query) or None,
            multiValueQueryStringParameters=query or None,
            pathParameters=path_parameters or None,
            stageVariables=stage_variables or None,
            requestContext=RequestContext(
                resourceId=resource_id,
                resourcePath=resource,
                httpMethod=facts.method,
                extendedRequestId=extended_request_id,
                requestTime=facts.request_time,
                path=context_path,
                accountId=api.account_id,
                protocol=facts.protocol,
                stage=stage,
                domainPrefix=api.domain_prefix,
                requestTimeEpoch=facts.time_epoch,
                requestId=facts.request_id,
                identity=identity_of(facts, identity),
                domainName=api.domain_name,
                apiId=api.api_id,
                deploymentId=deployment_id or UNSET,
                authorizer=UNSET if authorizer is None else authorizer,
            ),
            body=body,
            isBase64Encoded=is_base64,
        )
    )


def identity_of(facts: Facts, known: Mapping[str, str | None] | None = None) -> Identity:
    """requestContext.identity; `known` are the members that authorization has found out."""
    members: dict[str, Any] = dict.fromkeys(Identity.__struct_fields__[:12])
    members["sourceIp"], members["userAgent"] = facts.source_ip, facts.user_agent or None
    return Identity(**{**members, **(known or {})})


def last_values(values: Mapping[str, list[str]]) -> dict[str, str]:
    """The single-value twin of a multi-value map: the last one counts."""
    return {name: found[-1] for name, found in values.items()}
