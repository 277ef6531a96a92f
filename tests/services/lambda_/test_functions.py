"""CreateFunction, GetFunction, GetFunctionConfiguration, ListFunctions, DeleteFunction over boto3."""

from __future__ import annotations

import base64
import hashlib
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from lambda_helpers import ROLE, Refusal, definition, zipped

from tests.conftest import Region
from tests.roles import make_role

Create = Callable[..., dict[str, Any]]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def arn(name: str, qualifier: str = "") -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}{qualifier}"


def test_a_new_function_is_described_with_every_field_and_awss_defaults(client: Any, name: str) -> None:
    code = zipped()
    created = client.create_function(**definition(name, Code={"ZipFile": code}))
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    del created["ResponseMetadata"]
    assert UUID.fullmatch(created.pop("RevisionId"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", created.pop("LastModified"))
    version = created.pop("RuntimeVersionConfig")["RuntimeVersionArn"]
    assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", version)
    assert created == {
        "FunctionName": name,
        "FunctionArn": arn(name),
        "Runtime": "python3.12",
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(code),
        "CodeSha256": base64.b64encode(hashlib.sha256(code).digest()).decode(),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
    }


def test_all_settings_come_back_as_they_were_given(region: Region, client: Any, name: str, create: Create) -> None:
    traces = "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"
    given = {
        "Role": make_role(region, "traced", policies=[traces]),
        "Description": "does things",
        "Timeout": 900,
        "MemorySize": 10240,
        "EphemeralStorage": {"Size": 10240},
        "Environment": {"Variables": {"KEY": "value", "UNICODE": "größe"}},
        "TracingConfig": {"Mode": "Active"},
        "Architectures": ["arm64"],
        "LoggingConfig": {
            "LogFormat": "JSON",
            "LogGroup": "/custom/group",
            "ApplicationLogLevel": "DEBUG",
            "SystemLogLevel": "WARN",
        },
    }
    create(**given)
    configuration = client.get_function_configuration(FunctionName=name)
    assert {key: configuration[key] for key in given} == given


def test_active_tracing_needs_a_role_that_may_put_segments(client: Any, name: str, create: Create) -> None:
    words = "The provided execution role does not have permissions to call PutTraceSegments on XRAY"
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=words):
        create(TracingConfig={"Mode": "Active"})
    create()
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=words):
        client.update_function_configuration(FunctionName=name, TracingConfig={"Mode": "Active"})
    assert client.get_function_configuration(FunctionName=name)["TracingConfig"] == {"Mode": "PassThrough"}


def test_json_logs_have_levels_of_info_unless_said_otherwise(client: Any, name: str, create: Create) -> None:
    create(LoggingConfig={"LogFormat": "JSON"})
    assert client.get_function_configuration(FunctionName=name)["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": f"/aws/lambda/{name}",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
    }


def test_a_function_becomes_active_with_a_new_revision(client: Any, name: str, create: Create) -> None:
    created = create()
    settled = client.get_function_configuration(FunctionName=name)
    assert (settled["State"], settled["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReason" not in settled
    assert settled["RevisionId"] != created["RevisionId"]
    assert settled["LastModified"] == created["LastModified"]


@pytest.mark.parametrize(
    "waiter", ["function_exists", "function_active", "function_active_v2", "function_updated", "function_updated_v2"]
)
def test_every_waiter_of_boto3_comes_to_its_end(client: Any, name: str, create: Create, waiter: str) -> None:
    create()
    client.get_waiter(waiter).wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 3})


def test_get_function_gives_tags_only_where_there_are_some(client: Any, name: str, create: Create) -> None:
    create()
    assert "Tags" not in client.get_function(FunctionName=name)
    other = f"{name}-tagged"
    client.create_function(**definition(other, Tags={"team": "blue"}))
    assert client.get_function(FunctionName=other)["Tags"] == {"team": "blue"}


def test_code_location_hands_out_the_package_without_a_signature(client: Any, name: str, create: Create) -> None:
    code = zipped({"app.py": "# mine"})
    create(Code={"ZipFile": code})
    described = client.get_function(FunctionName=name)["Code"]
    assert described["RepositoryType"] == "S3"
    with urllib.request.urlopen(described["Location"]) as answer:
        assert answer.read() == code


def test_a_changed_code_location_is_refused(client: Any, region: Any, name: str, create: Create) -> None:
    create()
    location = client.get_function(FunctionName=name)["Code"]["Location"].removeprefix(region.url)
    later = re.sub(r"Expires=(\d+)", lambda match: f"Expires={int(match[1]) + 9999}", location)
    for changed in (later, location[:-1], location.split("?")[0]):
        assert region.request("GET", changed).status == 403


@pytest.mark.parametrize(
    "form",
    [
        "{name}",
        "{name}:$LATEST",
        "function:{name}",
        "000000000000:function:{name}",
        "000000000000:{name}:$LATEST",
        "us-east-1:000000000000:function:{name}",
        "arn:aws:lambda:us-east-1:000000000000:function:{name}",
        "arn:aws:lambda:us-east-1:000000000000:function:{name}:$LATEST",
    ],
)
def test_a_function_is_found_by_every_form_of_its_name(client: Any, name: str, create: Create, form: str) -> None:
    create()
    found = client.get_function(FunctionName=form.format(name=name))["Configuration"]
    qualifier = ":$LATEST" if form.endswith("$LATEST") else ""
    assert (found["FunctionName"], found["FunctionArn"]) == (name, arn(name, qualifier))


def test_a_function_can_be_created_by_its_arn(client: Any, name: str) -> None:
    assert client.create_function(**definition(arn(name)))["FunctionName"] == name


def test_the_name_is_taken_once(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create()
    assert refused(client.create_function, **definition(name)) == (
        409,
        "ResourceConflictException",
        f"Function already exist: {name}",
    )


@pytest.mark.parametrize("operation", ["get_function", "get_function_configuration", "delete_function"])
def test_an_unknown_function_is_not_found(client: Any, name: str, refused: Refusal, operation: str) -> None:
    missing = (404, "ResourceNotFoundException", f"Function not found: {arn(name)}")
    assert refused(getattr(client, operation), FunctionName=name) == missing


def test_an_unknown_version_is_not_found(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create()
    missing = (404, "ResourceNotFoundException", f"Function not found: {arn(name, ':7')}")
    assert refused(client.get_function, FunctionName=name, Qualifier="7") == missing
    assert refused(client.get_function, FunctionName=f"{name}:7") == missing


def test_two_different_qualifiers_are_refused(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create()
    assert refused(client.get_function, FunctionName=f"{name}:1", Qualifier="2") == (
        400,
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
    )


def test_another_regions_function_is_out_of_reach(client: Any, name: str, refused: Refusal) -> None:
    foreign = f"arn:aws:lambda:eu-west-1:000000000000:function:{name}"
    assert refused(client.get_function, FunctionName=foreign) == (
        404,
        "ResourceNotFoundException",
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    )


def test_another_accounts_function_is_forbidden(client: Any, name: str, refused: Refusal) -> None:
    foreign = f"arn:aws:lambda:us-east-1:111111111111:function:{name}"
    status, code, message = refused(client.get_function, FunctionName=foreign)
    assert (status, code) == (403, "AccessDeniedException")
    assert "is not authorized to perform: lambda:GetFunction on resource: " + foreign in message


def test_each_region_has_functions_of_its_own(region: Any, client: Any, name: str, create: Create) -> None:
    create()
    other = region.client("lambda", region_name="eu-central-1")
    assert other.create_function(**definition(name))["FunctionArn"] == (
        f"arn:aws:lambda:eu-central-1:000000000000:function:{name}"
    )
    other.delete_function(FunctionName=name)
    assert client.get_function(FunctionName=name)


def test_a_deleted_function_is_gone_and_its_name_free(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create()
    deleted = client.delete_function(FunctionName=name)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(client.get_function, FunctionName=name)[1] == "ResourceNotFoundException"
    create()


def test_latest_cannot_be_deleted_alone(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create()
    assert refused(client.delete_function, FunctionName=name, Qualifier="$LATEST") == (
        400,
        "InvalidParameterValueException",
        "$LATEST version cannot be deleted without deleting the function.",
    )


@pytest.mark.slow
def test_lists_come_in_pages_of_fifty_at_most_and_without_state(region: Any) -> None:
    here = region.client("lambda", region_name="ap-south-1")
    names = [f"listed-{number:02}" for number in range(53)]
    for each in names:
        here.create_function(**definition(each))
    first = here.list_functions(MaxItems=10_000)
    assert len(first["Functions"]) == 50
    assert "State" not in first["Functions"][0]
    assert "RuntimeVersionConfig" not in first["Functions"][0]
    assert first["Functions"][0]["CodeSha256"]
    rest = here.list_functions(Marker=first["NextMarker"])
    assert "NextMarker" not in rest
    assert [each["FunctionName"] for each in first["Functions"] + rest["Functions"]] == names
    paged = here.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 7})
    assert [each["FunctionName"] for page in paged for each in page["Functions"]] == names


def test_a_page_that_ends_with_the_last_function_has_no_marker(region: Any) -> None:
    here = region.client("lambda", region_name="ap-south-2")
    for each in ("a", "b"):
        here.create_function(**definition(each))
    assert "NextMarker" not in here.list_functions(MaxItems=2)
    assert here.list_functions(FunctionVersion="ALL")["Functions"][0]["FunctionArn"].endswith(":a:$LATEST")


def test_a_marker_of_nobodys_is_refused(client: Any, refused: Refusal) -> None:
    assert refused(client.list_functions, Marker="\N{SNOWMAN}")[1] == "InvalidParameterValueException"


def test_versions_are_latest_alone(client: Any, name: str, create: Create) -> None:
    create()
    versions = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [(version["Version"], version["FunctionArn"]) for version in versions] == [
        ("$LATEST", arn(name, ":$LATEST"))
    ]


@pytest.mark.slow
def test_functions_survive_a_restart_with_everything_they_have(start_region: Callable[..., Any]) -> None:
    region = start_region()
    client = region.client("lambda")
    client.create_function(**definition("kept", Environment={"Variables": {"SECRET": "s3cr3t-value"}}, Tags={"a": "b"}))
    client.get_waiter("function_active_v2").wait(FunctionName="kept", WaiterConfig={"Delay": 0, "MaxAttempts": 200})
    before = client.get_function(FunctionName="kept")
    # Stopped, so that no file goes while they are looked through.
    region.stop()
    for stored in region.data_dir.rglob("*"):
        assert not stored.is_file() or b"s3cr3t-value" not in stored.read_bytes()
    after = region.start().client("lambda").get_function(FunctionName="kept")
    assert after["Configuration"] == before["Configuration"]
    assert after["Tags"] == before["Tags"]
