"""PutFunctionEventInvokeConfig and its siblings: one configuration per version, alias and $LATEST, in AWS's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lambda_helpers import Refusal, definition

from tests.roles import allowing, make_role

Create = Callable[..., dict[str, Any]]

NO_FUNCTION = (404, "ResourceNotFoundException", "The function doesn't exist.")
NOTHING = "You must specify at least one of error handling or destination setting."


def arn(name: str, qualifier: str = "") -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}" + (f":{qualifier}" if qualifier else "")


def fields(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key not in ("ResponseMetadata", "LastModified")}


def missing(name: str, qualifier: str = "$LATEST") -> tuple[int, str, str]:
    message = f"The function {arn(name, qualifier)} doesn't have an EventInvokeConfig"
    return 404, "ResourceNotFoundException", message


@pytest.fixture(scope="module")
def sender(region: Any) -> str:
    """A role that may invoke functions."""
    return make_role(region, "sender", inline=allowing("lambda:InvokeFunction"))


@pytest.fixture
def target(client: Any, name: str) -> str:
    """ARN of another function."""
    client.create_function(**definition(f"{name}-target"))
    return arn(f"{name}-target")


def to(success: str = "", failure: str = "") -> dict[str, Any]:
    return {
        "OnSuccess": {"Destination": success} if success else {},
        "OnFailure": {"Destination": failure} if failure else {},
    }


def test_put_replaces_and_update_merges(client: Any, create: Create, name: str, target: str, sender: str) -> None:
    create(Role=sender)
    put = client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert fields(put) == {
        "FunctionArn": arn(name, "$LATEST"),
        "MaximumRetryAttempts": 0,
        "DestinationConfig": to(),
    }
    updated = client.update_function_event_invoke_config(
        FunctionName=name, MaximumEventAgeInSeconds=60, DestinationConfig=to(failure=target)
    )
    both = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60, "DestinationConfig": to(failure=target)}
    assert fields(updated) == {"FunctionArn": arn(name, "$LATEST"), **both}
    assert updated["LastModified"] >= put["LastModified"]
    got = client.get_function_event_invoke_config(FunctionName=name)
    assert (fields(got), got["LastModified"]) == (fields(updated), updated["LastModified"])
    replaced = client.put_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=21600)
    assert fields(replaced) == {
        "FunctionArn": arn(name, "$LATEST"),
        "MaximumEventAgeInSeconds": 21600,
        "DestinationConfig": to(),
    }


def test_versions_aliases_and_latest_have_their_own(client: Any, create: Create, name: str) -> None:
    create(Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for retries, qualifier in enumerate(("$LATEST", "1", "live")):
        client.put_function_event_invoke_config(FunctionName=name, Qualifier=qualifier, MaximumRetryAttempts=retries)
    listed = client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
    assert [(config["FunctionArn"], config["MaximumRetryAttempts"]) for config in listed] == [
        (arn(name, "$LATEST"), 0),
        (arn(name, "1"), 1),
        (arn(name, "live"), 2),
    ]
    pages = client.get_paginator("list_function_event_invoke_configs").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 2}
    )
    assert [len(page["FunctionEventInvokeConfigs"]) for page in pages] == [2, 1]
    assert client.get_function_event_invoke_config(FunctionName=f"{name}:live")["MaximumRetryAttempts"] == 2
    client.delete_alias(FunctionName=name, Name="live")
    assert len(client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]) == 2
    gone = client.delete_function_event_invoke_config(FunctionName=name, Qualifier="1")
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    client.delete_function(FunctionName=name)
    client.create_function(**definition(name))
    assert client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"] == []


def test_what_is_not_there_is_told_in_the_words_of_aws(
    client: Any, create: Create, name: str, refused: Refusal
) -> None:
    create()
    for call in (client.get_function_event_invoke_config, client.delete_function_event_invoke_config):
        assert refused(call, FunctionName=name) == missing(name)
        assert refused(call, FunctionName=name, Qualifier="1") == missing(name, "1")
        assert refused(call, FunctionName="nobody") == missing("nobody")
    assert refused(client.update_function_event_invoke_config, FunctionName=name, MaximumRetryAttempts=1) == missing(
        name
    )
    put = client.put_function_event_invoke_config
    assert refused(put, FunctionName="nobody", MaximumRetryAttempts=1) == NO_FUNCTION
    assert refused(put, FunctionName=name, Qualifier="live", MaximumRetryAttempts=1) == NO_FUNCTION
    assert refused(put, FunctionName=name, Qualifier="7", MaximumRetryAttempts=1) == NO_FUNCTION
    assert refused(client.list_function_event_invoke_configs, FunctionName="nobody") == NO_FUNCTION


def test_a_configuration_must_set_something_within_the_limits(
    client: Any, create: Create, name: str, refused: Refusal
) -> None:
    create()
    put = client.put_function_event_invoke_config
    assert refused(put, FunctionName=name) == (400, "InvalidParameterValueException", NOTHING)
    assert refused(put, FunctionName=name, DestinationConfig={}) == (400, "InvalidParameterValueException", NOTHING)
    # Too little is refused by boto3 itself.
    for wrong in ({"MaximumRetryAttempts": 3}, {"MaximumEventAgeInSeconds": 21601}):
        status, code, message = refused(put, FunctionName=name, **wrong)
        assert (status, code) == (400, "ValidationException")
        assert message.startswith("1 validation error detected")


def test_destinations_are_functions_that_exist_and_not_oneself(
    client: Any, create: Create, name: str, target: str, sender: str, refused: Refusal
) -> None:
    create(Role=sender)

    def refusal(**config: str) -> tuple[int, str, str]:
        return refused(client.put_function_event_invoke_config, FunctionName=name, DestinationConfig=to(**config))

    invalid = "InvalidParameterValueException"
    absent = arn("absent")
    assert refusal(success=absent) == (400, invalid, f"The destination ARN {absent} is invalid.")
    own = "You can't specify the function as a destination for itself."
    assert refusal(failure=arn(name)) == (400, invalid, own)
    strange = "arn:aws:ec2:us-east-1:000000000000:instance/i-1"
    words = f"DestinationConfig(onSuccess=OnSuccess(destination={strange}), onFailure=null)"
    assert refusal(success=strange) == (400, invalid, f"The provided destination config {words} is invalid.")
    bucket = "arn:aws:s3:::bucket"
    words = f"DestinationConfig(onSuccess=OnSuccess(destination={bucket}), onFailure=null)"
    assert refusal(success=bucket) == (400, invalid, f"The provided destination config {words} is invalid.")
    assert client.put_function_event_invoke_config(FunctionName=name, DestinationConfig=to(target, target))


def test_the_execution_role_must_be_allowed_to_send(
    client: Any, create: Create, name: str, target: str, refused: Refusal
) -> None:
    create()
    put = client.put_function_event_invoke_config
    refusal = refused(put, FunctionName=name, DestinationConfig=to(target))
    assert refusal == (400, "InvalidParameterValueException", f"The destination ARN {target} is invalid.")


@pytest.mark.parametrize(
    "resource",
    [
        "sqs:us-east-1:000000000000:queue",
        "sns:us-east-1:000000000000:topic",
        "events:us-east-1:000000000000:event-bus/bus",
        "s3:::bucket",
    ],
)
def test_targets_that_are_not_served_yet_are_refused(
    client: Any, create: Create, name: str, refused: Refusal, resource: str
) -> None:
    create()
    status, code, message = refused(
        client.put_function_event_invoke_config,
        FunctionName=name,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:{resource}"}},
    )
    assert (status, code) == (400, "InvalidParameterValueException")
    assert f"The destination arn:aws:{resource} is not supported by this Lambent region" in message
