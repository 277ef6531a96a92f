"""Resource policies decide who gets through a function URL, from the next request on."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from lambda_helpers import Refusal

# So that a key may be any account's: its id is the account's.
REGION_OPTIONS = ("--auth", "off")

Create = Callable[..., dict[str, Any]]

FORBIDDEN = (
    b'{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: '
    b'https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}'
)


def ask(region: Any, url: str, account: str = "") -> tuple[int, bytes]:
    """GET `url`, signed with a key of `account` where one is given."""
    headers = {"Host": urlsplit(url).netloc}
    if account:
        request = AWSRequest("GET", url, headers=headers)
        SigV4Auth(Credentials(account, "secret"), "lambda", "us-east-1").add_auth(request)
        headers = dict(request.headers.items())
    # Names below localhost need not resolve here.
    connection = http.client.HTTPConnection(urlsplit(region.url).netloc, timeout=30)
    try:
        connection.request("GET", "/", headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def allow(client: Any, name: str, sid: str, **params: Any) -> None:
    client.add_permission(**{"FunctionName": name, "StatementId": sid, "Principal": "*", **params})


ANYBODY_URL = {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"}
THROUGH_URL = {"Action": "lambda:InvokeFunction", "InvokedViaFunctionUrl": True}


@pytest.mark.slow
def test_anybody_gets_through_a_url_while_both_permissions_are_there(
    region: Any, client: Any, create: Create, name: str
) -> None:
    create()
    url = client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    assert ask(region, url) == (403, FORBIDDEN)
    allow(client, name, "url", **ANYBODY_URL)
    assert ask(region, url) == (403, FORBIDDEN)
    allow(client, name, "function", **THROUGH_URL)
    status, body = ask(region, url)
    assert (status, json.loads(body)["routeKey"]) == (200, "$default")
    client.remove_permission(FunctionName=name, StatementId="url")
    assert ask(region, url) == (403, FORBIDDEN)


@pytest.mark.slow
def test_the_url_of_an_alias_asks_the_policy_of_the_alias(region: Any, client: Any, create: Create, name: str) -> None:
    create(Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    url = client.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="NONE")["FunctionUrl"]
    for sid, statement in (("url", ANYBODY_URL), ("function", THROUGH_URL)):
        allow(client, name, sid, **statement)
    assert ask(region, url) == (403, FORBIDDEN)
    for sid, statement in (("url", ANYBODY_URL), ("function", THROUGH_URL)):
        allow(client, name, sid, Qualifier="live", **statement)
    assert ask(region, url)[0] == 200


@pytest.mark.slow
def test_other_accounts_need_the_policy_where_the_own_does_not(
    region: Any, client: Any, create: Create, name: str
) -> None:
    create()
    url = client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")["FunctionUrl"]
    account = client.get_function(FunctionName=name)["Configuration"]["FunctionArn"].split(":")[4]
    other = "111111111111"
    assert ask(region, url, account)[0] == 200
    assert ask(region, url, other) == (403, FORBIDDEN)
    allow(client, name, "url", Action="lambda:InvokeFunctionUrl", Principal=other, FunctionUrlAuthType="AWS_IAM")
    allow(client, name, "function", Principal=other, **THROUGH_URL)
    assert ask(region, url, other)[0] == 200
    assert ask(region, url, "222222222222") == (403, FORBIDDEN)


@pytest.mark.slow
def test_other_accounts_invoke_by_arn_what_the_policy_gives_them(
    region: Any, client: Any, create: Create, name: str
) -> None:
    create(Publish=True)
    arn = client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    guest = region.client("lambda", aws_access_key_id="111111111111", aws_secret_access_key="secret")
    refused = Refusal(guest)
    status, code, message = refused(guest.invoke, FunctionName=arn, Payload=b"1")
    assert (status, code) == (403, "AccessDeniedException")
    assert message == (
        f"User: arn:aws:iam::111111111111:root is not authorized to perform: lambda:InvokeFunction on resource: {arn} "
        "because no resource-based policy allows the lambda:InvokeFunction action"
    )
    allow(client, name, "guests", Action="lambda:InvokeFunction", Principal="111111111111")
    assert guest.invoke(FunctionName=arn, Payload=b"1")["Payload"].read() == b"1"
    assert refused(guest.invoke, FunctionName=arn, Qualifier="1")[1] == "AccessDeniedException"
    assert refused(guest.get_function, FunctionName=arn)[1] == "AccessDeniedException"
    # By name, it is the guest's own account that is meant.
    assert refused(guest.invoke, FunctionName=name)[1] == "ResourceNotFoundException"
