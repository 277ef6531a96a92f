"""Tags, reserved concurrency, account settings, and the questions that deploy tools ask of every function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lambda_helpers import Refusal, definition, zipped

Create = Callable[..., dict[str, Any]]


def test_tags_are_added_replaced_listed_and_taken_away(client: Any, name: str, create: Create) -> None:
    arn = create(Tags={"a": "1", "b": "2"})["FunctionArn"]
    assert client.tag_resource(Resource=arn, Tags={"b": "3", "c": ""})["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.list_tags(Resource=arn)["Tags"] == {"a": "1", "b": "3", "c": ""}
    untagged = client.untag_resource(Resource=arn, TagKeys=["a", "missing"])
    assert untagged["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.get_function(FunctionName=name)["Tags"] == {"b": "3", "c": ""}


def test_a_new_tag_is_a_new_revision(client: Any, name: str, create: Create, refused: Refusal) -> None:
    arn = create()["FunctionArn"]
    before = client.get_function_configuration(FunctionName=name)["RevisionId"]
    client.tag_resource(Resource=arn, Tags={"a": "1"})
    assert client.get_function_configuration(FunctionName=name)["RevisionId"] != before
    assert refused(client.tag_resource, Resource=arn, Tags={}) == (
        400,
        "InvalidParameterValueException",
        "An error occurred and the request cannot be processed.",
    )
    assert refused(client.untag_resource, Resource=arn, TagKeys=[]) == (
        400,
        "ValidationException",
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
    )


def test_a_function_has_fifty_tags_at_most(client: Any, create: Create, refused: Refusal) -> None:
    arn = create(Tags={f"k{number}": "" for number in range(50)})["FunctionArn"]
    assert refused(client.tag_resource, Resource=arn, Tags={"one more": ""}) == (
        400,
        "InvalidParameterValueException",
        "Number of tags exceeds resource tag limit.",
    )
    assert len(client.list_tags(Resource=arn)["Tags"]) == 50


def test_versions_cannot_be_tagged(client: Any, create: Create, refused: Refusal) -> None:
    arn = create()["FunctionArn"]
    assert refused(client.tag_resource, Resource=f"{arn}:$LATEST", Tags={"a": "b"}) == (
        400,
        "InvalidParameterValueException",
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    )


def test_tags_of_an_unknown_function_are_not_found(client: Any, name: str, refused: Refusal) -> None:
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    missing = (404, "ResourceNotFoundException", f"Function not found: {arn}")
    assert refused(client.list_tags, Resource=arn) == missing
    assert refused(client.tag_resource, Resource=arn, Tags={"a": "b"}) == missing
    assert refused(client.untag_resource, Resource=arn, TagKeys=["a"]) == missing


def test_reserved_concurrency_is_kept_shown_and_deleted(client: Any, name: str, create: Create) -> None:
    create()
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    put = client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert put["ReservedConcurrentExecutions"] == 0
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0
    assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    deleted = client.delete_function_concurrency(FunctionName=name)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "Concurrency" not in client.get_function(FunctionName=name)


def test_a_hundred_executions_stay_unreserved(region: Any, refused: Refusal) -> None:
    here = region.client("lambda", region_name="eu-north-1")
    for name in ("first", "second"):
        here.create_function(**definition(name))
    here.put_function_concurrency(FunctionName="first", ReservedConcurrentExecutions=600)
    assert refused(here.put_function_concurrency, FunctionName="second", ReservedConcurrentExecutions=301) == (
        400,
        "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
        "below its minimum value of [100].",
    )
    here.put_function_concurrency(FunctionName="second", ReservedConcurrentExecutions=300)
    # What a function has reserved itself does not count against its new value.
    here.put_function_concurrency(FunctionName="first", ReservedConcurrentExecutions=550)
    assert here.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 150


def test_a_version_has_no_concurrency_of_its_own(client: Any, name: str, refused: Refusal, create: Create) -> None:
    arn = create()["FunctionArn"]
    functions_only = (
        400,
        "InvalidParameterValueException",
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN.",
    )
    put = {"FunctionName": f"{arn}:1", "ReservedConcurrentExecutions": 1}
    assert refused(client.put_function_concurrency, **put) == functions_only
    assert refused(client.get_function_concurrency, FunctionName=f"{name}:1") == functions_only
    assert refused(client.delete_function_concurrency, FunctionName=f"{name}:1") == functions_only


def test_concurrency_of_an_unknown_function_is_not_found(client: Any, name: str, refused: Refusal) -> None:
    missing = f"Function not found: arn:aws:lambda:us-east-1:000000000000:function:{name}"
    put = {"FunctionName": name, "ReservedConcurrentExecutions": 1}
    assert refused(client.put_function_concurrency, **put) == (404, "ResourceNotFoundException", f"{missing}:$LATEST")
    for operation in (client.get_function_concurrency, client.delete_function_concurrency):
        assert refused(operation, FunctionName=name) == (404, "ResourceNotFoundException", missing)


def test_a_function_that_reserves_nothing_at_all_is_throttled(client: Any, name: str, create: Create) -> None:
    create()
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(client.exceptions.TooManyRequestsException) as refusal:
        client.invoke(FunctionName=name)
    assert refusal.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert refusal.value.response["Error"]["Message"] == "Rate Exceeded."
    client.delete_function_concurrency(FunctionName=name)
    assert client.invoke(FunctionName=name)["StatusCode"] == 200


def test_account_settings_count_functions_and_the_code_of_them_and_of_layers(region: Any) -> None:
    here = region.client("lambda", region_name="eu-south-1")
    size = here.create_function(**definition("counted"))["CodeSize"]
    layer = here.publish_layer_version(LayerName="counted", Content={"ZipFile": zipped()})["Content"]["CodeSize"]
    answer = here.get_account_settings()
    assert answer["AccountUsage"] == {"TotalCodeSize": size + layer, "FunctionCount": 1}
    assert answer["AccountLimit"]["CodeSizeUnzipped"] == 262144000
    assert answer["AccountLimit"]["CodeSizeZipped"] == 52428800
    assert answer["AccountLimit"]["ConcurrentExecutions"] == 1000


def test_a_function_without_policy_or_code_signing_says_so(
    client: Any, name: str, create: Create, refused: Refusal
) -> None:
    create()
    assert refused(client.get_policy, FunctionName=name) == (
        404,
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    )
    signing = client.get_function_code_signing_config(FunctionName=name)
    assert signing["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert "CodeSigningConfigArn" not in signing


def test_what_is_not_built_says_so(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create()
    status, code, message = refused(client.get_function_scaling_config, FunctionName=name, Qualifier="1")
    assert (status, code) == (501, "NotImplemented")
    assert "GetFunctionScalingConfig" in message
