"""CreateFunctionUrlConfig and its siblings: one URL for each function and alias, with AWS's fields and words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.config import Config
from lambda_helpers import Refusal, definition

Create = Callable[..., dict[str, Any]]

NO_URL = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
NO_FUNCTION = (404, "ResourceNotFoundException", "Function does not exist")


def arn(name: str, qualifier: str = "") -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}" + (f":{qualifier}" if qualifier else "")


def fields(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def test_a_url_has_an_id_in_its_host_and_the_fields_of_aws(region: Any, client: Any, create: Create, name: str) -> None:
    create()
    created = client.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert set(fields(created)) == {"FunctionUrl", "FunctionArn", "AuthType", "CreationTime"}
    port = urlsplit(region.url).port
    assert re.fullmatch(rf"http://[a-z0-9]{{32}}\.lambda-url\.us-east-1\.localhost:{port}/", created["FunctionUrl"])
    assert created["FunctionArn"] == arn(name)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", created["CreationTime"])
    got = fields(client.get_function_url_config(FunctionName=name))
    assert got == {**fields(created), "LastModifiedTime": created["CreationTime"], "InvokeMode": "BUFFERED"}


def test_update_changes_what_is_given_and_the_time(client: Any, create: Create, name: str) -> None:
    create()
    cors = {
        "AllowCredentials": True,
        "AllowHeaders": ["x-one", "x-two"],
        "AllowMethods": ["GET", "POST"],
        "AllowOrigins": ["https://example.com"],
        "ExposeHeaders": ["x-three"],
        "MaxAge": 60,
    }
    created = client.create_function_url_config(FunctionName=name, AuthType="NONE", Cors=cors, InvokeMode="BUFFERED")
    assert (created["Cors"], created["InvokeMode"]) == (cors, "BUFFERED")
    updated = client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (updated["AuthType"], updated["Cors"]) == ("AWS_IAM", cors)
    assert updated["FunctionUrl"] == created["FunctionUrl"]
    assert updated["CreationTime"] == created["CreationTime"] < updated["LastModifiedTime"]
    # Given CORS settings replace all that were there.
    replaced = client.update_function_url_config(FunctionName=name, Cors={"AllowOrigins": ["*"], "MaxAge": 0})
    assert replaced["Cors"] == {"AllowOrigins": ["*"], "MaxAge": 0}
    assert "Cors" not in client.update_function_url_config(FunctionName=name, Cors={})
    assert "Cors" not in client.get_function_url_config(FunctionName=name)


def test_the_function_and_each_alias_have_urls_of_their_own(client: Any, create: Create, name: str) -> None:
    create(Publish=True)
    aliases = ["beta", "live", "zeta"]
    for alias in aliases:
        client.create_alias(FunctionName=name, Name=alias, FunctionVersion="1")
    assert client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"] == []
    for alias in reversed(aliases):
        created = client.create_function_url_config(FunctionName=name, Qualifier=alias, AuthType="NONE")
        assert created["FunctionArn"] == arn(name, alias)
    client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    listed = client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    assert [entry["FunctionArn"] for entry in listed] == [arn(name), *(arn(name, alias) for alias in aliases)]
    assert listed[0] == fields(client.get_function_url_config(FunctionName=name))
    assert listed[2] == fields(client.get_function_url_config(FunctionName=f"{name}:live"))
    assert len({entry["FunctionUrl"] for entry in listed}) == 4
    pages = list(
        client.get_paginator("list_function_url_configs").paginate(FunctionName=name, PaginationConfig={"PageSize": 3})
    )
    assert [len(page["FunctionUrlConfigs"]) for page in pages] == [3, 1]
    assert [entry for page in pages for entry in page["FunctionUrlConfigs"]] == listed


def test_a_url_goes_by_itself_and_with_its_function_or_alias(
    client: Any, create: Create, name: str, refused: Refusal
) -> None:
    create(Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for qualifier in ({}, {"Qualifier": "live"}):
        client.create_function_url_config(FunctionName=name, AuthType="NONE", **qualifier)
    gone = client.delete_function_url_config(FunctionName=name)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(client.get_function_url_config, FunctionName=name) == NO_URL
    client.delete_alias(FunctionName=name, Name="live")
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert refused(client.get_function_url_config, FunctionName=name, Qualifier="live") == NO_URL
    first = client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    client.delete_function(FunctionName=name)
    create()
    assert refused(client.get_function_url_config, FunctionName=name) == NO_URL
    assert client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"] != first


def test_the_second_url_of_a_function_is_refused(client: Any, create: Create, name: str, refused: Refusal) -> None:
    create()
    client.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert refused(client.create_function_url_config, FunctionName=name, AuthType="AWS_IAM") == (
        409,
        "ResourceConflictException",
        f"Failed to create function url config for [functionArn = {arn(name)}]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function",
    )


def test_what_is_missing_is_named_as_aws_names_it(client: Any, create: Create, name: str, refused: Refusal) -> None:
    create()
    for missing in ({"FunctionName": f"{name}-nobody"}, {"FunctionName": name, "Qualifier": "nobody"}):
        assert refused(client.create_function_url_config, AuthType="NONE", **missing) == NO_FUNCTION
        assert refused(client.update_function_url_config, AuthType="NONE", **missing) == NO_FUNCTION
        assert refused(client.get_function_url_config, **missing) == NO_URL
        assert refused(client.delete_function_url_config, **missing) == NO_URL
    assert refused(client.list_function_url_configs, FunctionName=f"{name}-nobody") == NO_FUNCTION
    assert refused(client.update_function_url_config, FunctionName=name, AuthType="NONE") == NO_URL
    assert refused(client.delete_function_url_config, FunctionName=name) == NO_URL


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (
            {"Qualifier": qualifier},
            "ValidationException",
            f"1 validation error detected: Value '{qualifier}' at 'qualifier' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)",
        )
        for qualifier in ("1", "$LATEST")
    ]
    + [
        (
            {"Cors": {"MaxAge": 86401}},
            "ValidationException",
            "1 validation error detected: Value '86401' at 'cors.maxAge' failed to satisfy constraint: "
            "Member must have value less than or equal to 86400",
        ),
        (
            {"AuthType": "OPEN"},
            "ValidationException",
            "1 validation error detected: Value 'OPEN' at 'authType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [NONE, AWS_IAM]",
        ),
        (
            {"InvokeMode": "STREAM"},
            "ValidationException",
            "1 validation error detected: Value 'STREAM' at 'invokeMode' failed to satisfy constraint: "
            "Member must satisfy enum value set: [BUFFERED, RESPONSE_STREAM]",
        ),
    ],
)
def test_what_a_url_cannot_be_is_refused(
    region: Any, client: Any, create: Create, name: str, given: dict[str, Any], code: str, message: str
) -> None:
    create()
    # As any client may send it: boto3 would not.
    unchecked = region.client("lambda", config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))
    parameters = {"FunctionName": name, "AuthType": "NONE", **given}
    assert Refusal(unchecked)(unchecked.create_function_url_config, **parameters) == (400, code, message)


def test_the_invoke_mode_is_kept_and_changed(client: Any, create: Create, name: str) -> None:
    create()

    def mode() -> str:
        shown: str = client.get_function_url_config(FunctionName=name)["InvokeMode"]
        return shown

    created = client.create_function_url_config(FunctionName=name, AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    assert created["InvokeMode"] == mode() == "RESPONSE_STREAM"
    assert client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")["InvokeMode"] == "RESPONSE_STREAM"
    client.update_function_url_config(FunctionName=name, InvokeMode="BUFFERED")
    assert mode() == "BUFFERED"
    client.update_function_url_config(FunctionName=name, InvokeMode="RESPONSE_STREAM")
    assert client.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"][0]["InvokeMode"] == mode()


def test_a_tag_of_the_function_gives_the_id_of_its_url(
    client: Any, create: Create, name: str, refused: Refusal
) -> None:
    create(Tags={"_custom_id_": "my-own-id"})
    created = client.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert created["FunctionUrl"].startswith("http://my-own-id.lambda-url.us-east-1.localhost:")
    other = f"{name}-other"
    client.create_function(**definition(other, Tags={"_custom_id_": "my-own-id"}))
    status, code, message = refused(client.create_function_url_config, FunctionName=other, AuthType="NONE")
    assert (status, code) == (409, "ResourceConflictException")
    assert message.endswith("the id my-own-id belongs to another function URL")
    client.tag_resource(Resource=arn(other), Tags={"_custom_id_": "no.host"})
    assert refused(client.create_function_url_config, FunctionName=other, AuthType="NONE")[:2] == (
        400,
        "InvalidParameterValueException",
    )


def test_the_address_is_built_from_the_host_that_the_client_asked(region: Any, create: Create, name: str) -> None:
    create()
    port = urlsplit(region.url).port

    def seen_at(host: str) -> str:
        client = region.client("lambda", endpoint_url=f"http://{host}:{port}")
        url: str = client.get_function_url_config(FunctionName=name)["FunctionUrl"]
        return url.partition(".lambda-url.us-east-1.")[2]

    region.client("lambda").create_function_url_config(FunctionName=name, AuthType="NONE")
    assert seen_at("localhost") == seen_at("127.0.0.1") == f"localhost:{port}/"


@pytest.mark.slow
def test_urls_and_policies_survive_a_restart_and_no_reset(start_region: Callable[..., Any]) -> None:
    region = start_region("--host-suffix", "lambent.test")
    client = region.client("lambda")
    client.create_function(**definition("kept"))
    before = client.create_function_url_config(FunctionName="kept", AuthType="NONE", Cors={"AllowOrigins": ["*"]})
    client.add_permission(FunctionName="kept", StatementId="s1", Action="lambda:InvokeFunction", Principal="*")
    policy = client.get_policy(FunctionName="kept")["Policy"]
    host, _, rest = before["FunctionUrl"].partition(".lambent.test:")
    assert rest == f"{urlsplit(region.url).port}/"
    region.restart()
    client = region.client("lambda")
    after = client.get_function_url_config(FunctionName="kept")
    assert after["FunctionUrl"].startswith(f"{host}.lambent.test:")
    assert (after["Cors"], after["CreationTime"]) == (before["Cors"], before["CreationTime"])
    assert client.get_policy(FunctionName="kept")["Policy"] == policy
    region.reset()
    client.create_function(**definition("kept"))
    for gone in (client.get_function_url_config, client.get_policy):
        assert Refusal(client)(gone, FunctionName="kept") == NO_URL
