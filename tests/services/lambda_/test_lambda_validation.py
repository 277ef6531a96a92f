"""What CreateFunction and UpdateFunctionConfiguration refuse, by status, code and message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lambda_helpers import Refusal, definition, zipped

INVALID = "InvalidParameterValueException"
LAYER = "arn:aws:lambda:us-east-1:000000000000:layer:tools"
ENVIRONMENT = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided"
)

#: Changes to a good CreateFunction → status, code, message.
REFUSALS: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "no runtime": (
        {"Runtime": None},
        400,
        INVALID,
        "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
    ),
    "no handler": (
        {"Handler": None},
        400,
        INVALID,
        "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
    ),
    "foreign role": (
        {"Role": "arn:aws:iam::111111111111:role/worker"},
        403,
        "AccessDeniedException",
        "Cross-account pass role is not allowed.",
    ),
    "no code": ({"Code": {}}, 400, INVALID, "Please provide a source for function code."),
    "not a zip": (
        {"Code": {"ZipFile": b"no zip"}},
        400,
        INVALID,
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    ),
    "empty zip": ({"Code": {"ZipFile": b""}}, 400, INVALID, "Uploaded file must be a non-empty zip"),
    "code in S3": (
        {"Code": {"S3Bucket": "bucket", "S3Key": "key"}},
        400,
        INVALID,
        "Error occurred while GetObject. S3 Error Code: NoSuchBucket. "
        "S3 Error Message: The specified bucket does not exist.",
    ),
    "image": (
        {"Code": {"ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/x:1"}},
        400,
        INVALID,
        "Please don't provide ImageUri when creating a function with packageType Zip.",
    ),
    "memory": (
        {"MemorySize": 10241},
        400,
        INVALID,
        "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
    ),
    "timeout": (
        {"Timeout": 901},
        400,
        "ValidationException",
        "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: "
        "Member must have value less than or equal to 900",
    ),
    "storage": (
        {"EphemeralStorage": {"Size": 10241}},
        400,
        "ValidationException",
        "1 validation error detected: Value '10241' at 'ephemeralStorage.size' failed to satisfy constraint: "
        "Member must have value less than or equal to 10240",
    ),
    "long name": (
        {"FunctionName": "n" * 65},
        400,
        "ValidationException",
        f"1 validation error detected: Value '{'n' * 65}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64",
    ),
    "layer": ({"Layers": [f"{LAYER}:1"]}, 400, INVALID, f"Layer version {LAYER}:1 does not exist."),
    "six layers": (
        {"Layers": [f"{LAYER}:{number}" for number in range(1, 7)]},
        400,
        INVALID,
        "Cannot reference more than 5 layers.",
    ),
    "layer elsewhere": (
        {"Layers": ["arn:aws:lambda:eu-west-1:000000000000:layer:tools:1"]},
        400,
        INVALID,
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
    ),
    "reserved variable": (
        {"Environment": {"Variables": {"AWS_REGION": "x", "FINE": "y"}}},
        400,
        INVALID,
        f"{ENVIRONMENT} contains reserved keys that are currently not supported for modification. "
        "Reserved keys used in this request: AWS_REGION",
    ),
    "4 KB of variables": (
        {"Environment": {"Variables": {"BIG": "x" * 4096}}},
        400,
        INVALID,
        f"{ENVIRONMENT} exceeded the 4KB limit. String measured: " + '{"BIG":"' + "x" * 4096 + '"}',
    ),
    "system tag": ({"Tags": {"aws:x": "y"}}, 400, INVALID, "System tags cannot be added/updated by requester"),
    "51 tags": (
        {"Tags": {f"k{number}": "" for number in range(51)}},
        400,
        INVALID,
        "Number of tags exceeds resource tag limit.",
    ),
    "log level of text": (
        {"LoggingConfig": {"LogFormat": "Text", "SystemLogLevel": "DEBUG"}},
        400,
        INVALID,
        "ApplicationLogLevel and SystemLogLevel can be set only when LogFormat is JSON.",
    ),
}


def changed(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    merged = {**definition(name), **changes}
    return {key: value for key, value in merged.items() if value is not None}


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.replace(" ", "-"))
def test_create_refuses(client: Any, name: str, refused: Refusal, case: str) -> None:
    changes, status, code, message = REFUSALS[case]
    assert refused(client.create_function, **changed(name, changes)) == (status, code, message)
    assert refused(client.get_function, FunctionName=name)[0] == 404


#: Options that AWS acts on and this region cannot.
UNSUPPORTED: dict[str, Any] = {
    "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"},
    "ImageConfig": {"Command": ["x"]},
    "DurableConfig": {"ExecutionTimeout": 60},
}


@pytest.mark.parametrize("option", UNSUPPORTED)
def test_what_cannot_be_acted_on_is_refused_by_name(client: Any, name: str, refused: Refusal, option: str) -> None:
    status, code, message = refused(client.create_function, **definition(name, **{option: UNSUPPORTED[option]}))
    assert (status, code) == (400, INVALID)
    assert message.startswith(f"{option} is not supported by this Lambent region: ")


def test_the_empty_forms_that_terraform_sends_are_accepted(client: Any, name: str, create: Callable[..., Any]) -> None:
    create(
        VpcConfig={"SubnetIds": [], "SecurityGroupIds": []},
        DeadLetterConfig={"TargetArn": ""},
        KMSKeyArn="",
        Layers=[],
        FileSystemConfigs=[],
        SnapStart={"ApplyOn": "None"},
        Publish=False,
    )
    shown = client.get_function_configuration(FunctionName=name)
    assert not {"Layers", "FileSystemConfigs", "KMSKeyArn"} & set(shown)


def test_a_runtime_that_never_existed_gets_the_enum(client: Any, name: str, refused: Refusal) -> None:
    status, code, message = refused(client.create_function, **definition(name, Runtime="python4.0"))
    assert (status, code) == (400, "ValidationException")
    assert message.startswith(
        "1 validation error detected: Value 'python4.0' at 'runtime' failed to satisfy constraint: "
        "Member must satisfy enum value set: ["
    )


@pytest.mark.parametrize("runtime", ["python3.6", "nodejs12.x", "go1.x"])
def test_a_retired_runtime_is_accepted_and_logged(region: Any, name: str, create: Any, runtime: str) -> None:
    assert create(Runtime=runtime)["Runtime"] == runtime
    assert f"Runtime {runtime} is retired" in region.log()


@pytest.mark.slow
def test_a_zip_of_fifty_megabytes_is_too_large(client: Any, name: str, refused: Refusal) -> None:
    assert refused(client.create_function, **definition(name, Code={"ZipFile": bytes(52_428_800)})) == (
        413,
        "RequestEntityTooLargeException",
        "Zipped size must be smaller than 52428800 bytes",
    )


@pytest.mark.slow
def test_a_request_of_seventy_megabytes_is_too_large(client: Any, name: str, refused: Refusal) -> None:
    status, code, message = refused(client.create_function, **definition(name, Code={"ZipFile": bytes(52_700_000)}))
    assert (status, code) == (413, "RequestEntityTooLargeException")
    assert message.startswith("Request must be smaller than 70167211 bytes")


def test_exactly_four_kilobytes_of_variables_are_accepted(client: Any, name: str, create: Callable[..., Any]) -> None:
    variables = {"BIG": "x" * (4096 - len('{"BIG":""}'))}
    create(Environment={"Variables": variables})
    assert client.get_function_configuration(FunctionName=name)["Environment"]["Variables"] == variables


def test_a_refused_package_leaves_nothing_on_disk(region: Any, client: Any, name: str, refused: Refusal) -> None:
    def stored() -> set[str]:
        return {path.name for folder in ("code", "packages") for path in (region.data_dir / folder).rglob("*")}

    before = stored()
    evil = zipped({"fine.py": "x", "../evil": "y"})
    assert refused(client.create_function, **definition(name, Code={"ZipFile": evil}))[1] == INVALID
    assert stored() == before
    assert not (region.data_dir / "evil").exists()
