"""What the model demands, in AWS's words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from conformance.asking import ask, form, refuse, understand

FUNCTIONS = "/2015-03-31/functions"
CREATE = {"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/r", "Code": {"ZipFile": "UEs="}}


def create(**changed: Any) -> tuple[str, str]:
    """Code and message that CreateFunction with these members comes to."""
    body = {name: value for name, value in (CREATE | changed).items() if value is not None}
    error, _ = refuse(ask("POST", FUNCTIONS, body, service="lambda"))
    return error.wire_code, error.message


def test_missing_member_is_named_by_its_camel_case_path() -> None:
    assert create(Role=None) == (
        "ValidationException",
        "1 validation error detected: Value null at 'role' failed to satisfy constraint: Member must not be null",
    )


def test_several_failures_are_counted_and_joined_in_the_order_of_the_model() -> None:
    assert create(Role=None, Code=None, Timeout=0)[1] == (
        "3 validation errors detected: Value null at 'role' failed to satisfy constraint: Member must not be null; "
        "Value null at 'code' failed to satisfy constraint: Member must not be null; "
        "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"
    )


def test_value_over_its_largest() -> None:
    error, _ = refuse(ask("GET", FUNCTIONS, query="MaxItems=10001", service="lambda"))
    assert error.message == (
        "1 validation error detected: Value '10001' at 'maxItems' failed to satisfy constraint: "
        "Member must have value less than or equal to 10000"
    )


def test_text_that_breaks_its_pattern() -> None:
    code, message = create(Role="not an arn")
    assert (code, message) == (
        "ValidationException",
        "1 validation error detected: Value 'not an arn' at 'role' failed to satisfy constraint: Member must satisfy "
        r"regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
    )


def test_value_outside_of_its_enumeration_lists_the_set() -> None:
    assert create(PackageType="Tar")[1] == (
        "1 validation error detected: Value 'Tar' at 'packageType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Zip, Image]"
    )


def test_list_answers_for_its_scalars_with_all_that_is_asked_of_them() -> None:
    assert create(Architectures=["arm64", "mips"])[1] == (
        "2 validation errors detected: Value '[arm64, mips]' at 'architectures' failed to satisfy constraint: Member "
        "must have length less than or equal to 1; Value '[arm64, mips]' at 'architectures' failed to satisfy "
        "constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64]]"
    )


def test_sensitive_values_are_not_repeated() -> None:
    assert create(Environment={"Variables": {"1BAD": "secret"}})[1] == (
        "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must "
        "satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"
    )


def test_null_in_a_list_has_the_path_of_its_place() -> None:
    assert create(Layers=[None])[1] == (
        "1 validation error detected: Value null at 'layers.1.member' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_uri_label_and_query_members_are_checked_like_any_other() -> None:
    error, _ = refuse(ask("GET", f"{FUNCTIONS}/f", query="Qualifier=no*", service="lambda"))
    assert error.message.startswith("1 validation error detected: Value 'no*' at 'qualifier' failed to satisfy")


def test_structure_in_a_list_has_the_number_of_its_place() -> None:
    body = {
        "logGroupName": "g",
        "logStreamName": "s",
        "logEvents": [{"timestamp": 1, "message": "m"}, {"timestamp": 2}],
    }
    error, _ = refuse(ask(body=body, service="logs", target="Logs_20140328.PutLogEvents"))
    assert (error.wire_code, error.message) == (
        "InvalidParameterException",
        "1 validation error detected: Value null at 'logEvents.2.member.message' failed to satisfy constraint: "
        "Member must not be null",
    )


def test_map_answers_for_its_values() -> None:
    body = {"RequestItems": {"Table": []}}
    error, _ = refuse(ask(body=body, service="dynamodb", target="DynamoDB_20120810.BatchWriteItem"))
    assert (error.wire_code, error.message) == (
        "ValidationException",
        "1 validation error detected: Value '{Table=[]}' at 'requestItems' failed to satisfy constraint: Map value "
        "must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater "
        "than or equal to 1]",
    )


def test_structure_in_a_list_in_a_map_has_both_in_its_path() -> None:
    body = {"RequestItems": {"Table": [{"DeleteRequest": {}}]}}
    error, _ = refuse(ask(body=body, service="dynamodb", target="DynamoDB_20120810.BatchWriteItem"))
    assert "Value null at 'requestItems.Table.member.1.member.deleteRequest.key'" in error.message


@pytest.mark.parametrize(
    ("service", "version", "action", "code"),
    [
        ("sts", "2011-06-15", "AssumeRole&RoleSessionName=xyz", "ValidationError"),
        ("iam", "2010-05-08", "CreateRole&AssumeRolePolicyDocument=d", "ValidationError"),
        ("sns", "2010-03-31", "Subscribe&Protocol=lambda", "ValidationError"),
    ],
)
def test_query_services_call_it_validation_error(service: str, version: str, action: str, code: str) -> None:
    error, response = refuse(form(f"Action={action}&Version={version}", service=service))
    assert error.wire_code == code
    assert b"<Code>ValidationError</Code>" in response.body
    assert response.status == 400


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (
            ask(body={}, service="sqs", target="AmazonSQS.SendMessage"),
            "The request must contain the parameter QueueUrl.",
        ),
        (
            form("Action=PutMetricData&Version=2010-08-01", service="monitoring"),
            "The parameter Namespace is required.",
        ),
    ],
)
def test_services_with_words_of_their_own_for_what_is_missing(request_: Any, text: str) -> None:
    error, _ = refuse(request_)
    assert (error.wire_code, error.message) == ("MissingParameter", text)


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("FunctionName", 5, "NUMBER_VALUE can not be converted to String"),
        ("FunctionName", True, "TRUE_VALUE can not be converted to String"),
        ("FunctionName", {}, "Start of structure or map found where not expected"),
        ("Timeout", "3", "STRING_VALUE can not be converted to Integer"),
        ("Timeout", 2**31, "NUMBER_VALUE can not be converted to Integer"),
        ("Publish", "true", "STRING_VALUE can not be converted to Boolean"),
        ("Layers", "x", "Expected list or null"),
        ("Tags", [], "Expected map or null"),
        ("Code", [], "Unexpected field type"),
        ("Code", {"ZipFile": "not base64!"}, "A blob is not valid base64."),
    ],
)
def test_wrong_json_types_are_serialization_exceptions(member: str, value: Any, message: str) -> None:
    assert create(**{member: value}) == ("SerializationException", message)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b"\xff", b'{"a":1}x', b"[" * 100_000, b'{"FunctionName":"\\ud800"}']
)
def test_malformed_json_is_a_serialization_exception(body: bytes) -> None:
    error, response = refuse(ask("POST", FUNCTIONS, body, service="lambda"))
    assert (error.wire_code, response.status) == ("SerializationException", 400)
    assert dict(response.headers)[b"x-amzn-errortype"] == b"SerializationException"


def test_unknown_members_and_nulls_are_ignored() -> None:
    body = {**CREATE, "Nonsense": 1, "Description": None, "VpcConfig": {"Nope": []}}
    _, _, params = understand(ask("POST", FUNCTIONS, body, service="lambda"))
    assert params == {
        "FunctionName": "f",
        "Role": CREATE["Role"],
        "Code": {"ZipFile": b"PK"},
        "VpcConfig": {},
    }


def test_whole_floats_are_taken_for_integers() -> None:
    _, _, params = understand(ask("POST", FUNCTIONS, {**CREATE, "Timeout": 3.0}, service="lambda"))
    assert (params["Timeout"], type(params["Timeout"])) == (3, int)


def test_validation_errors_of_lambda_have_no_type() -> None:
    _, response = refuse(ask("POST", FUNCTIONS, {}, service="lambda"))
    assert set(msgspec.json.decode(response.body)) == {"message"}


def test_hostile_text_far_beyond_its_limit_does_not_reach_the_pattern() -> None:
    error, _ = refuse(ask("GET", f"{FUNCTIONS}/{'a' * 50_000}!", service="lambda"))
    assert "Member must have length less than or equal to " in error.message
    assert "regular expression" not in error.message
