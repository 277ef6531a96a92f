"""AddPermission, RemovePermission and GetPolicy: statements as AWS writes them, one policy per qualifier."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from lambda_helpers import Refusal

Create = Callable[..., dict[str, Any]]

ACCOUNT = "000000000000"


def arn(name: str, qualifier: str = "") -> str:
    return f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}" + (f":{qualifier}" if qualifier else "")


def add(client: Any, name: str, sid: str = "s1", **changes: Any) -> dict[str, Any]:
    parameters = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", **changes}
    answer = client.add_permission(FunctionName=name, StatementId=sid, **parameters)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    statement: dict[str, Any] = json.loads(answer["Statement"])
    return statement


def sids(client: Any, name: str, **params: Any) -> list[str]:
    policy = json.loads(client.get_policy(FunctionName=name, **params)["Policy"])
    return [statement["Sid"] for statement in policy["Statement"]]


def test_a_policy_is_one_compact_document_of_its_statements(client: Any, create: Create, name: str) -> None:
    create()
    add(client, name)
    add(client, name, "s2", Principal="*")
    assert client.get_policy(FunctionName=name)["Policy"] == (
        '{"Version":"2012-10-17","Id":"default","Statement":['
        '{"Sid":"s1","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},'
        f'"Action":"lambda:InvokeFunction","Resource":"{arn(name)}"}},'
        f'{{"Sid":"s2","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"{arn(name)}"}}]}}'
    )


STATEMENTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"Principal": "123456789012"}, {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}),
    (
        {"Principal": "arn:aws:iam::123456789012:role/path/caller"},
        {"Principal": {"AWS": "arn:aws:iam::123456789012:role/path/caller"}},
    ),
    (
        {"SourceArn": "arn:aws:s3:::bucket", "SourceAccount": "123456789012"},
        {
            "Condition": {
                "StringEquals": {"AWS:SourceAccount": "123456789012"},
                "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
            }
        },
    ),
    (
        {"Principal": "alexa-appkit.amazon.com", "EventSourceToken": "amzn1.ask.skill.xxx"},
        {
            "Principal": {"Service": "alexa-appkit.amazon.com"},
            "Condition": {"StringEquals": {"lambda:EventSourceToken": "amzn1.ask.skill.xxx"}},
        },
    ),
    (
        {"Principal": "*", "PrincipalOrgID": "o-1234567890"},
        {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}},
    ),
    (
        {"Principal": "*", "Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
        {
            "Principal": "*",
            "Action": "lambda:InvokeFunctionUrl",
            "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
        },
    ),
    (
        {"Principal": "*", "InvokedViaFunctionUrl": True},
        {"Principal": "*", "Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}},
    ),
]


@pytest.mark.parametrize(("given", "written"), STATEMENTS, ids=lambda value: "-".join(value) if value else "")
def test_each_parameter_becomes_what_aws_makes_of_it(
    client: Any, create: Create, name: str, given: dict[str, Any], written: dict[str, Any]
) -> None:
    create()
    base = {
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": arn(name),
    }
    assert add(client, name, **given) == {**base, **written}


def test_adding_and_removing_gives_the_function_a_new_revision_which_both_guard(
    client: Any, create: Create, name: str, refused: Refusal
) -> None:
    create()
    first = client.get_function_configuration(FunctionName=name)["RevisionId"]
    mismatch = "The Revision Id provided does not match the latest Revision Id. Call the {} API to retrieve the latest "
    statement = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    assert refused(client.add_permission, FunctionName=name, StatementId="s", RevisionId="wrong", **statement) == (
        412,
        "PreconditionFailedException",
        mismatch.format("GetPolicy") + "Revision Id",
    )
    add(client, name, RevisionId=first)
    second = client.get_policy(FunctionName=name)["RevisionId"]
    assert second != first
    assert client.get_function_configuration(FunctionName=name)["RevisionId"] == second
    assert refused(client.remove_permission, FunctionName=name, StatementId="s1", RevisionId=first) == (
        412,
        "PreconditionFailedException",
        mismatch.format("GetFunction/GetAlias") + "Revision Id",
    )
    client.remove_permission(FunctionName=name, StatementId="s1", RevisionId=second)
    assert client.get_function_configuration(FunctionName=name)["RevisionId"] != second


def test_the_policy_is_gone_with_its_last_statement(client: Any, create: Create, name: str, refused: Refusal) -> None:
    create()
    add(client, name)
    add(client, name, "s2")
    client.remove_permission(FunctionName=name, StatementId="s1")
    assert sids(client, name) == ["s2"]
    answer = client.remove_permission(FunctionName=name, StatementId="s2")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    missing = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
    assert refused(client.get_policy, FunctionName=name) == missing


def test_versions_and_aliases_have_policies_and_revisions_of_their_own(
    client: Any, create: Create, name: str, refused: Refusal
) -> None:
    create(Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    add(client, name, "of-function")
    function_revision = client.get_policy(FunctionName=name)["RevisionId"]
    assert add(client, name, "of-version", Qualifier="1")["Resource"] == arn(name, "1")
    assert add(client, f"{name}:live", "of-alias")["Resource"] == arn(name, "live")
    assert sids(client, name) == sids(client, name, Qualifier="$LATEST") == ["of-function"]
    assert sids(client, arn(name, "1")) == ["of-version"]
    assert sids(client, name, Qualifier="live") == ["of-alias"]
    assert client.get_policy(FunctionName=name)["RevisionId"] == function_revision
    alias = client.get_alias(FunctionName=name, Name="live")
    assert client.get_policy(FunctionName=name, Qualifier="live")["RevisionId"] == alias["RevisionId"]
    version = client.get_function_configuration(FunctionName=name, Qualifier="1")
    assert client.get_policy(FunctionName=name, Qualifier="1")["RevisionId"] == version["RevisionId"]


def test_policies_go_with_what_they_are_on(client: Any, create: Create, name: str, refused: Refusal) -> None:
    missing = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
    create(Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for qualifier in ("live", "1"):
        add(client, name, Qualifier=qualifier)
    add(client, name)
    client.delete_alias(FunctionName=name, Name="live")
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="$LATEST")
    assert refused(client.get_policy, FunctionName=name, Qualifier="live") == missing
    client.delete_function(FunctionName=name, Qualifier="1")
    assert refused(client.get_policy, FunctionName=name, Qualifier="1") == missing
    assert sids(client, name) == ["s1"]
    client.delete_function(FunctionName=name)
    create()
    assert refused(client.get_policy, FunctionName=name) == missing


def test_what_cannot_be_added_is_refused_in_the_words_of_aws(
    client: Any, create: Create, name: str, refused: Refusal
) -> None:
    create()

    def adding(**changes: Any) -> tuple[int, str, str]:
        base = {"FunctionName": name, "StatementId": "s1", "Action": "lambda:InvokeFunction", "Principal": "*"}
        return refused(client.add_permission, **{**base, **changes})

    invalid = "InvalidParameterValueException"
    bad_principal = "The provided principal was invalid. Please check the principal and try again."
    for principal in (
        "invalid.nonaws.com",
        "12345",
        "amazonaws.com",
        "arn:aws:iam::1:role/x",
        "arn:aws:iam::000000000000:role/*",
        "arn:aws:s3:::bucket",
    ):
        assert adding(Principal=principal) == (400, invalid, bad_principal)
    assert adding(SourceArn="arn:aws:s3:::${bucket") == (400, invalid, "Syntax errors in policy.")
    latest = "We currently do not support adding policies for $LATEST."
    assert adding(Qualifier="$LATEST") == adding(FunctionName=f"{name}:$LATEST") == (400, invalid, latest)
    mismatch = "The derived qualifier from the function name does not match the specified qualifier."
    assert adding(FunctionName=f"{name}:a", Qualifier="b") == (400, invalid, mismatch)
    only = "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"
    assert adding(FunctionUrlAuthType="NONE") == (400, invalid, only)
    status, code, message = adding(StatementId="example.com")
    assert (status, code) == (400, "ValidationException")
    assert message == (
        "1 validation error detected: Value 'example.com' at 'statementId' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"
    )


def test_what_is_missing_is_named_as_aws_names_it(client: Any, create: Create, name: str, refused: Refusal) -> None:
    create()
    nobody = f"{name}-nobody"
    statement = {"StatementId": "s1", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}

    def missing(message: str) -> tuple[int, str, str]:
        return 404, "ResourceNotFoundException", message

    add_to = client.add_permission
    assert refused(add_to, FunctionName=nobody, **statement) == missing(f"Function not found: {arn(nobody)}")
    no_alias = missing(f"Cannot find alias arn: {arn(name, 'nobody')}")
    assert refused(add_to, FunctionName=name, Qualifier="nobody", **statement) == no_alias
    assert refused(add_to, FunctionName=name, Qualifier="42", **statement) == missing(
        f"Function not found: {arn(name, '42')}"
    )
    assert refused(add_to, FunctionName=name, Qualifier="with-$", **statement) == missing(
        f"Function not found: {arn(name, 'with-$')}"
    )
    remove = client.remove_permission
    assert refused(remove, FunctionName=nobody, StatementId="s1") == missing(f"No policy found for: {arn(nobody)}")
    assert refused(remove, FunctionName=name, StatementId="s1", Qualifier="nobody") == no_alias
    assert refused(remove, FunctionName=name, StatementId="s1") == missing(
        "No policy is associated with the given resource."
    )
    get = client.get_policy
    assert refused(get, FunctionName=nobody) == missing(f"Function not found: {arn(nobody)}")
    assert refused(get, FunctionName=name, Qualifier="42") == missing("The resource you requested does not exist.")


def test_sids_are_given_once_and_removed_by_name(client: Any, create: Create, name: str, refused: Refusal) -> None:
    create()
    add(client, name)
    taken = (
        "The statement id (s1) provided already exists. "
        "Please provide a new statement id, or remove the existing statement."
    )
    statement = {"StatementId": "s1", "Action": "lambda:GetFunction", "Principal": "*"}
    assert refused(client.add_permission, FunctionName=name, **statement) == (409, "ResourceConflictException", taken)
    assert refused(client.remove_permission, FunctionName=name, StatementId="s2") == (
        404,
        "ResourceNotFoundException",
        "Statement s2 is not found in resource policy.",
    )


def test_a_policy_has_20480_bytes_at_most(client: Any, create: Create, name: str, refused: Refusal) -> None:
    create()
    statement = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    for number in range(2):
        add(client, name, f"s{number}", SourceArn=f"arn:aws:s3:::{'x' * 9_700}")
    status, code, message = refused(
        client.add_permission, FunctionName=name, StatementId="s2", SourceArn=f"arn:aws:s3:::{'x' * 900}", **statement
    )
    used = len(client.get_policy(FunctionName=name)["Policy"])
    assert (status, code) == (400, "PolicyLengthExceededException")
    size = int(message.partition("(")[2].partition(")")[0])
    assert message == f"The final policy size ({size}) is bigger than the limit (20480)."
    assert used < 20_480 < size < used + 1_200
