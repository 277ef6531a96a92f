"""Payload format 2.0: the event of function URLs and of HTTP APIs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from lambent.context import Caller
from lambent.edge.http_events.bodies import by_content_type
from lambent.edge.http_events.request_facts import Facts, joined


@dataclass(frozen=True, slots=True)
class ApiFacts:
    """Which URL or API it is."""

    #: Of the API's owner; `anonymous` where a function URL does not know its caller.
    account_id: str
    api_id: str
    domain_name: str
    domain_prefix: str


class Http(msgspec.Struct, frozen=True, gc=False):
    method: str
    path: str
    protocol: str
    sourceIp: str  # noqa: N815
    userAgent: str  # noqa: N815


class RequestContext(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """In the order of AWS's samples."""

    accountId: str  # noqa: N815
    apiId: str  # noqa: N815
    authorizer: Mapping[str, Any] | UnsetType = UNSET
    domainName: str  # noqa: N815
    domainPrefix: str  # noqa: N815
    http: Http
    requestId: str  # noqa: N815
    routeKey: str  # noqa: N815
    stage: str
    time: str
    timeEpoch: int  # noqa: N815


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    version: str
    routeKey: str  # noqa: N815
    rawPath: str  # noqa: N815
    rawQueryString: str  # noqa: N815
    cookies: list[str] | UnsetType = UNSET
    headers: dict[str, str]
    queryStringParameters: dict[str, str] | UnsetType = UNSET  # noqa: N815
    requestContext: RequestContext  # noqa: N815
    body: str | UnsetType = UNSET
    pathParameters: Mapping[str, str] | UnsetType = UNSET  # noqa: N815
    isBase64Encoded: bool  # noqa: N815
    stageVariables: Mapping[str, str] | UnsetType = UNSET  # noqa: N815


_encode = msgspec.json.Encoder().encode


def event(
    facts: Facts,
    *,
    api: ApiFacts,
    route_key: str = "$default",
    stage: str = "$default",
    raw_path: str | None = None,
    path_parameters: Mapping[str, str] | None = None,
    stage_variables: Mapping[str, str] | None = None,
    authorizer: Mapping[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """The event's JSON.

    `raw_path` stands where it differs from the request's; `headers` where parameter mapping has changed them.
    `authorizer` is `{"iam": {…}}`, `{"jwt": {…}}` or `{"lambda": {…}}`.
    """
    path = facts.raw_path if raw_path is None else raw_path
    body, is_base64 = by_content_type(facts.body, facts.header("content-type"))
    cookies = facts.cookies
    if headers is None:
        headers = joined([pair for pair in facts.headers if pair[0] != "cookie"] if cookies else facts.headers)
    return _encode(
        Event(
            version="2.0",
            routeKey=route_key,
            rawPath=path,
            rawQueryString=facts.raw_query,
            headers=headers,
            requestContext=RequestContext(
                accountId=api.account_id,
                apiId=api.api_id,
                domainName=api.domain_name,
                domainPrefix=api.domain_prefix,
                http=Http(facts.method, path, facts.protocol, facts.source_ip, facts.user_agent),
                requestId=facts.request_id,
                routeKey=route_key,
                stage=stage,
                time=facts.request_time,
                timeEpoch=facts.time_epoch,
                authorizer=UNSET if authorizer is None else authorizer,
            ),
            isBase64Encoded=is_base64,
            cookies=cookies or UNSET,
            queryStringParameters=joined(facts.query) if facts.query else UNSET,
            pathParameters=path_parameters or UNSET,
            stageVariables=stage_variables or UNSET,
            body=body or UNSET,
        )
    )


def iam_authorizer(caller: Caller | None) -> dict[str, Any] | None:
    """requestContext.authorizer of a signed request; None without a caller."""
    if caller is None:
        return None
    return {
        "iam": {
            "accessKey": caller.access_key_id,
            "accountId": caller.account,
            "callerId": caller.user_id,
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": caller.arn,
            "userId": caller.user_id,
        }
    }
