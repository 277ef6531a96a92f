"""What AWS was recorded to say of what goes wrong: the code, the status and the text of each, to the letter.

The table holds every row of the reference's "Recorded exact messages" that the operations built so far can reach
through the API. Elsewhere, for the time or the size that they take: updates while another settles
(`test_service_lifecycle`), requests and packages that are too large (`test_lambda_validation`, `test_zip_packages`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from botocore.config import Config
from lambda_helpers import Refusal, definition, zipped

ARN = "arn:aws:lambda:us-east-1:000000000000:function:recorded"
NOBODY = ARN.replace("recorded", "nobody")
LAYER = "arn:aws:lambda:us-east-1:000000000000:layer:tools"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:jobs"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/jobs"
FUNCTION = {"FunctionName": "recorded"}
STATEMENT = {"StatementId": "new", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
SHA_OF_CODE = "<sha of the code>"

INVALID = "InvalidParameterValueException"
NOT_FOUND = "ResourceNotFoundException"
CONFLICT = "ResourceConflictException"
PRECONDITION = "PreconditionFailedException"
VALIDATION = "ValidationException"
STATUS = {INVALID: 400, VALIDATION: 400, NOT_FOUND: 404, CONFLICT: 409, PRECONDITION: 412}
LATEST_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. Call the {} API to retrieve the latest Revision Id"
)
TAGGED_QUALIFIER = "Tags on function aliases and versions are not supported. Please specify a function ARN."


class Row(NamedTuple):
    operation: str
    params: dict[str, Any]
    code: str
    message: str


def on_function(operation: str, code: str, message: str, **params: Any) -> Row:
    return Row(operation, {**FUNCTION, **params}, code, message)


def wrong_value(value: str, member: str, constraint: str) -> str:
    return f"Value '{value}' at '{member}' failed to satisfy constraint: Member must {constraint}"


FUNCTIONS = [
    Row("get_function", {"FunctionName": "nobody"}, NOT_FOUND, f"Function not found: {NOBODY}"),
    Row("get_function_configuration", {"FunctionName": "nobody"}, NOT_FOUND, f"Function not found: {NOBODY}"),
    Row("delete_function", {"FunctionName": "nobody"}, NOT_FOUND, f"Function not found: {NOBODY}"),
    Row("invoke", {"FunctionName": "nobody"}, NOT_FOUND, f"Function not found: {NOBODY}:$LATEST"),
    on_function("get_function", NOT_FOUND, f"Function not found: {ARN}:42", Qualifier="42"),
    on_function("invoke", NOT_FOUND, f"Function not found: {ARN}:gone", Qualifier="gone"),
    Row(
        "get_function",
        {"FunctionName": ARN.replace("us-east-1", "eu-west-1")},
        NOT_FOUND,
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    ),
    Row(
        "get_function",
        {"FunctionName": f"{ARN}:live", "Qualifier": "1"},
        INVALID,
        "The derived qualifier from the function name does not match the specified qualifier.",
    ),
    on_function(
        "delete_function",
        INVALID,
        "$LATEST version cannot be deleted without deleting the function.",
        Qualifier="$LATEST",
    ),
    Row("create_function", definition("recorded"), CONFLICT, "Function already exist: recorded"),
    on_function(
        "update_function_code",
        PRECONDITION,
        LATEST_REVISION.format("GetFunction/GetAlias"),
        ZipFile=zipped(),
        RevisionId="wrong",
    ),
    on_function(
        "update_function_configuration",
        PRECONDITION,
        LATEST_REVISION.format("GetFunction/GetAlias"),
        RevisionId="wrong",
    ),
    on_function(
        "invoke",
        "InvalidRequestContentException",
        "Could not parse request body into json: Could not parse payload into json: ",
        Payload=b"{",
    ),
]

CODE = [
    Row(
        "create_function",
        definition("new", Code={"ZipFile": b"not a zip"}),
        INVALID,
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    ),
    on_function(
        "update_function_code",
        INVALID,
        "Please don't provide ImageUri when updating a function with packageType Zip.",
        ImageUri="000000000000.dkr.ecr.us-east-1.amazonaws.com/image:latest",
    ),
    Row(
        "create_function",
        definition("new", Code={"S3Bucket": "nobodys", "S3Key": "code.zip"}),
        INVALID,
        "Error occurred while GetObject. S3 Error Code: NoSuchBucket. "
        "S3 Error Message: The specified bucket does not exist.",
    ),
    on_function(
        "update_function_configuration",
        INVALID,
        "Lambda was unable to configure your environment variables because the environment variables you have "
        f'provided exceeded the 4KB limit. String measured: {{"LARGE":"{"x" * 4096}"}}',
        Environment={"Variables": {"LARGE": "x" * 4096}},
    ),
]

VERSIONS = [
    on_function(
        "publish_version",
        INVALID,
        f"CodeSHA256 (wrong) is different from current CodeSHA256 in $LATEST ({SHA_OF_CODE}). "
        "Please try again with the CodeSHA256 in $LATEST.",
        CodeSha256="wrong",
    ),
    on_function("publish_version", PRECONDITION, LATEST_REVISION.format("GetFunction/GetAlias"), RevisionId="wrong"),
    on_function("get_alias", NOT_FOUND, f"Cannot find alias arn: {ARN}:gone", Name="gone"),
    on_function("update_alias", NOT_FOUND, f"Alias not found: {ARN}:gone", Name="gone"),
    on_function(
        "update_alias", PRECONDITION, LATEST_REVISION.format("GetFunction/GetAlias"), Name="live", RevisionId="wrong"
    ),
    on_function("create_alias", CONFLICT, f"Alias already exists: {ARN}:live", Name="live", FunctionVersion="1"),
    on_function("create_alias", NOT_FOUND, f"Function not found: {ARN}:42", Name="new", FunctionVersion="42"),
    on_function(
        "create_alias",
        INVALID,
        "Number of items in AdditionalVersionWeights cannot be greater than 1",
        Name="new",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"1": 0.1, "2": 0.1}},
    ),
    on_function(
        "create_alias",
        INVALID,
        "Invalid function version 1. Function version 1 is already included in routing configuration.",
        Name="new",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}},
    ),
    on_function(
        "create_alias",
        INVALID,
        "$LATEST is not supported for an alias pointing to more than 1 version",
        Name="new",
        FunctionVersion="$LATEST",
        RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}},
    ),
]

POLICIES = [
    on_function("get_policy", NOT_FOUND, "The resource you requested does not exist.", Qualifier="1"),
    on_function(
        "remove_permission",
        NOT_FOUND,
        "No policy is associated with the given resource.",
        StatementId="gone",
        Qualifier="1",
    ),
    on_function("remove_permission", NOT_FOUND, "Statement gone is not found in resource policy.", StatementId="gone"),
    on_function(
        "add_permission",
        CONFLICT,
        "The statement id (taken) provided already exists. "
        "Please provide a new statement id, or remove the existing statement.",
        **{**STATEMENT, "StatementId": "taken"},
    ),
    on_function(
        "add_permission",
        INVALID,
        "We currently do not support adding policies for $LATEST.",
        Qualifier="$LATEST",
        **STATEMENT,
    ),
    on_function(
        "add_permission",
        INVALID,
        "The provided principal was invalid. Please check the principal and try again.",
        **{**STATEMENT, "Principal": "invalid.nonaws.com"},
    ),
    on_function("add_permission", PRECONDITION, LATEST_REVISION.format("GetPolicy"), RevisionId="wrong", **STATEMENT),
    on_function(
        "remove_permission",
        PRECONDITION,
        LATEST_REVISION.format("GetFunction/GetAlias"),
        StatementId="taken",
        RevisionId="wrong",
    ),
]

URLS = [
    Row(
        "create_function_url_config",
        {"FunctionName": "nobody", "AuthType": "NONE"},
        NOT_FOUND,
        "Function does not exist",
    ),
    on_function("get_function_url_config", NOT_FOUND, "The resource you requested does not exist.", Qualifier="live"),
    on_function(
        "create_function_url_config",
        CONFLICT,
        f"Failed to create function url config for [functionArn = {ARN}]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function",
        AuthType="NONE",
    ),
]

LAYERS = [
    on_function(
        "update_function_configuration",
        INVALID,
        "Cannot reference more than 5 layers.",
        Layers=[f"{LAYER}-{number}:1" for number in range(6)],
    ),
    on_function(
        "update_function_configuration",
        INVALID,
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
        Layers=[f"{LAYER.replace('us-east-1', 'eu-west-1')}:1"],
    ),
    on_function(
        "update_function_configuration",
        INVALID,
        f"Layer version {LAYER}:42 does not exist.",
        Layers=[f"{LAYER}:42"],
    ),
    on_function(
        "update_function_configuration",
        INVALID,
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{LAYER}:1 and {LAYER}:2 are versions of the same layer.",
        Layers=[f"{LAYER}:1", f"{LAYER}:2"],
    ),
    Row(
        "add_layer_version_permission",
        {
            "LayerName": "tools",
            "VersionNumber": 1,
            "StatementId": "new",
            "Action": "lambda:GetLayerVersion",
            "Principal": "*",
            "RevisionId": "wrong",
        },
        PRECONDITION,
        LATEST_REVISION.format("GetLayerPolicy"),
    ),
    Row(
        "get_layer_version",
        {"LayerName": "tools", "VersionNumber": 42},
        NOT_FOUND,
        "The resource you requested does not exist.",
    ),
]

SETTINGS = [
    on_function(
        "put_function_concurrency",
        INVALID,
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
        "below its minimum value of [100].",
        ReservedConcurrentExecutions=901,
    ),
    Row("tag_resource", {"Resource": f"{ARN}:1", "Tags": {"a": "b"}}, INVALID, TAGGED_QUALIFIER),
    Row("tag_resource", {"Resource": f"{ARN}:$LATEST", "Tags": {"a": "b"}}, INVALID, TAGGED_QUALIFIER),
    Row(
        "tag_resource",
        {"Resource": ARN, "Tags": {f"key-{number}": "x" for number in range(51)}},
        INVALID,
        "Number of tags exceeds resource tag limit.",
    ),
]

MAPPINGS = [
    Row(
        "create_event_source_mapping",
        {"FunctionName": "nobody", "EventSourceArn": QUEUE},
        INVALID,
        "Function does not exist",
    ),
    on_function("create_event_source_mapping", INVALID, "Unrecognized event source."),
    on_function(
        "create_event_source_mapping",
        INVALID,
        "Invalid filter pattern definition.",
        EventSourceArn=QUEUE,
        FilterCriteria={"Filters": [{"Pattern": "not a pattern"}]},
    ),
    on_function(
        "create_event_source_mapping",
        INVALID,
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        EventSourceArn=QUEUE,
        BatchSize=11,
    ),
    on_function(
        "create_event_source_mapping",
        INVALID,
        "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
        "Member must not be null.",
        EventSourceArn=STREAM,
    ),
    on_function(
        "create_event_source_mapping",
        INVALID,
        "Unsupported DestinationConfig parameter for given event source mapping type.",
        EventSourceArn=STREAM,
        StartingPosition="LATEST",
        DestinationConfig={"OnSuccess": {"Destination": QUEUE}},
    ),
]

VALUES = [
    on_function(
        "add_permission",
        VALIDATION,
        "1 validation error detected: "
        + wrong_value("example.com", "statementId", "satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"),
        **{**STATEMENT, "StatementId": "example.com"},
    ),
    on_function(
        "get_function_url_config",
        VALIDATION,
        "1 validation error detected: "
        + wrong_value("1", "qualifier", r"satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)"),
        Qualifier="1",
    ),
    Row(
        "list_functions",
        {"FunctionVersion": "invalid"},
        VALIDATION,
        "1 validation error detected: " + wrong_value("invalid", "functionVersion", "satisfy enum value set: [ALL]"),
    ),
    Row(
        "list_functions",
        {"FunctionVersion": "invalid", "MaxItems": 10001},
        VALIDATION,
        "2 validation errors detected: "
        + wrong_value("invalid", "functionVersion", "satisfy enum value set: [ALL]")
        + "; "
        + wrong_value("10001", "maxItems", "have value less than or equal to 10000"),
    ),
    on_function(
        "update_function_configuration",
        VALIDATION,
        "1 validation error detected: " + wrong_value("901", "timeout", "have value less than or equal to 900"),
        Timeout=901,
    ),
    on_function(
        "update_function_configuration",
        VALIDATION,
        "1 validation error detected: "
        + wrong_value("x" * 257, "description", "have length less than or equal to 256"),
        Description="x" * 257,
    ),
]

TABLE = [*FUNCTIONS, *CODE, *VERSIONS, *POLICIES, *URLS, *LAYERS, *SETTINGS, *MAPPINGS, *VALUES]


@pytest.fixture(scope="module")
def recorded(region: Any) -> tuple[Any, str]:
    """A client that checks nothing by itself, on a region with everything that the table names; the code's SHA."""
    client = region.client("lambda", config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))
    sha: str = client.create_function(**definition("recorded", Publish=True))["CodeSha256"]
    client.get_waiter("function_active_v2").wait(**FUNCTION, WaiterConfig={"Delay": 0, "MaxAttempts": 200})
    client.create_alias(**FUNCTION, Name="live", FunctionVersion="1")
    client.add_permission(**FUNCTION, **{**STATEMENT, "StatementId": "taken"})
    client.create_function_url_config(**FUNCTION, AuthType="NONE")
    for text in ("one", "two"):
        client.publish_layer_version(LayerName="tools", Content={"ZipFile": zipped({"python/tool.py": text})})
    statement = {"StatementId": "taken", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    client.add_layer_version_permission(LayerName="tools", VersionNumber=1, **statement)
    return client, sha


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.operation}: {row.message[:50]}")
def test_it_says_what_aws_says(recorded: tuple[Any, str], row: Row) -> None:
    client, sha = recorded
    call: Callable[..., Any] = getattr(client, row.operation)
    expected = STATUS.get(row.code, 400), row.code, row.message.replace(SHA_OF_CODE, sha)
    status, code, message = Refusal(client)(call, **row.params)
    if row.message.endswith(": "):
        # What follows are the words of AWS's JSON parser about the place.
        message = message[: len(row.message)]
    assert (status, code, message) == expected
