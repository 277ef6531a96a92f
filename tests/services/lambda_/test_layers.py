"""Layers: published, found, listed, deleted, shared with other accounts, and in /opt of real functions."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lambda_helpers import HANDLER, Refusal, definition, zipped

Create = Callable[..., dict[str, Any]]

INVALID = "InvalidParameterValueException"
ACCOUNT = "000000000000"
LAYER = f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer"


def publish(client: Any, name: str, files: dict[str, str], **more: Any) -> dict[str, Any]:
    published: dict[str, Any] = client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped(files)}, **more)
    return published


def invoke(client: Any, name: str, **more: Any) -> Any:
    answer = client.invoke(FunctionName=name, **more)
    payload = json.load(answer["Payload"])
    assert "FunctionError" not in answer, payload
    return payload


# ---- publishing and finding ---------------------------------------------------------------------------------------


def test_a_published_version_says_all_that_was_given(client: Any, name: str) -> None:
    data = zipped({"python/tool.py": "NAME = 'tool'\n"})
    published = client.publish_layer_version(
        LayerName=name,
        Description="Tools",
        LicenseInfo="MIT",
        CompatibleRuntimes=["python3.12", "nodejs20.x"],
        CompatibleArchitectures=["x86_64", "arm64"],
        Content={"ZipFile": data},
    )
    assert published["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert published["LayerArn"] == f"{LAYER}:{name}"
    assert published["LayerVersionArn"] == f"{LAYER}:{name}:1"
    assert (published["Version"], published["Description"], published["LicenseInfo"]) == (1, "Tools", "MIT")
    assert published["CompatibleRuntimes"] == ["python3.12", "nodejs20.x"]
    assert published["CompatibleArchitectures"] == ["x86_64", "arm64"]
    assert published["CreatedDate"].endswith("+0000")
    assert published["Content"]["CodeSize"] == len(data)
    assert published["Content"]["CodeSha256"] == base64.b64encode(hashlib.sha256(data).digest()).decode()
    with urllib.request.urlopen(published["Content"]["Location"]) as answer:
        assert answer.read() == data
    for found in (
        client.get_layer_version(LayerName=name, VersionNumber=1),
        client.get_layer_version(LayerName=published["LayerArn"], VersionNumber=1),
        client.get_layer_version_by_arn(Arn=published["LayerVersionArn"]),
    ):
        for member in set(published) - {"ResponseMetadata", "Content"}:
            assert found[member] == published[member]


def test_what_was_not_given_is_left_out(client: Any, name: str) -> None:
    published = publish(client, name, {"file": ""})
    assert published["Description"] == ""
    assert not {"CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"} & set(published)


def test_numbers_go_on_after_a_deletion(client: Any, name: str, refused: Refusal) -> None:
    assert [publish(client, name, {"file": str(number)})["Version"] for number in range(2)] == [1, 2]
    for number in (1, 2, 2):
        deleted = client.delete_layer_version(LayerName=name, VersionNumber=number)
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    gone = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
    assert refused(client.get_layer_version, LayerName=name, VersionNumber=2) == gone
    assert refused(client.get_layer_version_by_arn, Arn=f"{LAYER}:{name}:2") == gone
    assert client.list_layer_versions(LayerName=name)["LayerVersions"] == []
    assert publish(client, name, {"file": "3"})["Version"] == 3


def test_publishing_refuses_what_aws_refuses(client: Any, name: str, refused: Refusal) -> None:
    def publishing(**params: Any) -> tuple[int, str, str]:
        return refused(client.publish_layer_version, LayerName=name, **params)

    assert publishing(Content={"S3Bucket": "bucket", "S3Key": "key"}) == (
        400,
        INVALID,
        "Error occurred while GetObject. S3 Error Code: NoSuchBucket. "
        "S3 Error Message: The specified bucket does not exist.",
    )
    assert publishing(Content={"ZipFile": b"no zip"}) == (
        400,
        INVALID,
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    )
    status, code, message = publishing(Content={"ZipFile": zipped()}, CompatibleRuntimes=["python3.12"] * 16)
    assert (status, code) == (400, "ValidationException")
    assert "'compatibleRuntimes' failed to satisfy constraint: Member must have length less than or equal to 15" in (
        message
    )
    for operation in (client.get_layer_version, client.delete_layer_version):
        assert refused(operation, LayerName=name, VersionNumber=0) == (
            400,
            INVALID,
            "Layer Version Cannot be less than 1",
        )


def test_lists_filter_and_page(region: Any) -> None:
    here = region.client("lambda", region_name="eu-west-3")
    for number in range(3):
        publish(here, "python-tools", {"file": str(number)}, CompatibleRuntimes=[f"python3.1{number}"])
    publish(here, "node-tools", {"file": ""}, CompatibleRuntimes=["nodejs20.x"], CompatibleArchitectures=["arm64"])
    publish(here, "any-tools", {"file": ""})

    def listed(**wanted: str) -> list[tuple[str, int]]:
        pages = here.get_paginator("list_layers").paginate(PaginationConfig={"PageSize": 1}, **wanted)
        return [
            (layer["LayerName"], layer["LatestMatchingVersion"]["Version"])
            for page in pages
            for layer in page["Layers"]
        ]

    assert listed() == [("any-tools", 1), ("node-tools", 1), ("python-tools", 3)]
    assert listed(CompatibleRuntime="python3.11") == [("python-tools", 2)]
    assert listed(CompatibleArchitecture="arm64") == [("node-tools", 1)]
    assert listed(CompatibleArchitecture="x86_64") == []
    pages = here.get_paginator("list_layer_versions").paginate(
        LayerName="python-tools", PaginationConfig={"PageSize": 2}
    )
    versions = [version["LayerVersionArn"] for page in pages for version in page["LayerVersions"]]
    assert versions == [f"arn:aws:lambda:eu-west-3:{ACCOUNT}:layer:python-tools:{number}" for number in (3, 2, 1)]
    filtered = here.list_layer_versions(LayerName="python-tools", CompatibleRuntime="python3.10")
    assert [version["Version"] for version in filtered["LayerVersions"]] == [1]
    with pytest.raises(ClientError, match="The Marker is not one"):
        here.list_layer_versions(LayerName="python-tools", Marker="bm8=")


# ---- who may use them ---------------------------------------------------------------------------------------------


def test_permissions_are_added_shown_guarded_and_removed(client: Any, name: str, refused: Refusal) -> None:
    publish(client, name, {"file": ""})
    version = {"LayerName": name, "VersionNumber": 1}
    granted = {**version, "StatementId": "all", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    arn = f"{LAYER}:{name}:1"
    none = (404, "ResourceNotFoundException", "No policy is associated with the given resource.")
    assert refused(client.get_layer_version_policy, **version) == none

    added = client.add_layer_version_permission(**granted)
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    statement = {
        "Sid": "all",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:GetLayerVersion",
        "Resource": arn,
    }
    assert json.loads(added["Statement"]) == statement
    second = client.add_layer_version_permission(
        **{**granted, "StatementId": "org", "Principal": "123456789012", "OrganizationId": "o-0123456789"},
        RevisionId=added["RevisionId"],
    )
    shown = client.get_layer_version_policy(**version)
    assert shown["RevisionId"] == second["RevisionId"]
    assert json.loads(shown["Policy"]) == {
        "Version": "2012-10-17",
        "Id": "default",
        "Statement": [
            statement,
            {
                **statement,
                "Sid": "org",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}},
            },
        ],
    }

    assert refused(client.add_layer_version_permission, **granted) == (
        409,
        "ResourceConflictException",
        "The statement id (all) provided already exists. "
        "Please provide a new statement id, or remove the existing statement.",
    )
    changed = (
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetLayerPolicy API to retrieve the latest Revision Id",
    )
    old = added["RevisionId"]
    assert refused(client.add_layer_version_permission, **{**granted, "StatementId": "new"}, RevisionId=old) == changed
    remove = client.remove_layer_version_permission
    assert refused(remove, **version, StatementId="all", RevisionId=old) == changed
    assert refused(remove, **version, StatementId="none") == (
        404,
        "ResourceNotFoundException",
        "Statement none is not found in resource policy.",
    )
    assert remove(**version, StatementId="all")["ResponseMetadata"]["HTTPStatusCode"] == 204
    remove(**version, StatementId="org")
    assert refused(client.get_layer_version_policy, **version) == none
    missing = (404, "ResourceNotFoundException", f"Layer version {LAYER}:{name}:2 does not exist.")
    absent = {"LayerName": name, "VersionNumber": 2}
    assert refused(client.get_layer_version_policy, **absent) == missing
    assert refused(client.add_layer_version_permission, **{**granted, **absent}) == missing
    assert refused(remove, **absent, StatementId="all") == missing


@pytest.mark.slow
def test_another_account_uses_a_version_as_far_as_its_policy_says(start_region: Callable[..., Any]) -> None:
    region = start_region("--auth", "off")
    owner = region.client("lambda")
    other = region.client("lambda", aws_access_key_id="123456789012", aws_secret_access_key="any")
    refused = Refusal(other)
    arn = publish(owner, "shared", {"python/tool.py": "NAME = 'shared'\n"})["LayerVersionArn"]
    layer = arn.rpartition(":")[0]

    def denied(action: str, resource: str) -> tuple[int, str, str]:
        return (
            403,
            "AccessDeniedException",
            f"User: arn:aws:iam::123456789012:root is not authorized to perform: lambda:{action} on resource: "
            f"{resource} because no resource-based policy allows the lambda:{action} action",
        )

    source = zipped({"app.py": "import tool\ndef handler(event, context):\n    return tool.NAME\n"})
    creation = definition("user", Code={"ZipFile": source}, Layers=[arn])
    creation["Role"] = creation["Role"].replace(ACCOUNT, "123456789012")
    reading = denied("GetLayerVersion", arn)
    assert refused(other.get_layer_version_by_arn, Arn=arn) == reading
    assert refused(other.get_layer_version, LayerName=layer, VersionNumber=1) == reading
    assert refused(other.create_function, **creation) == reading
    assert other.list_layer_versions(LayerName=layer)["LayerVersions"] == []

    granting = {"LayerName": "shared", "VersionNumber": 1, "Action": "lambda:GetLayerVersion"}
    owner.add_layer_version_permission(
        **granting, StatementId="organization", Principal="*", OrganizationId="o-0123456789"
    )
    assert refused(other.get_layer_version_by_arn, Arn=arn) == reading
    owner.add_layer_version_permission(**granting, StatementId="account", Principal="123456789012")
    assert other.get_layer_version_by_arn(Arn=arn)["LayerVersionArn"] == arn
    assert [version["Version"] for version in other.list_layer_versions(LayerName=layer)["LayerVersions"]] == [1]
    other.create_function(**creation)
    assert invoke(other, "user") == "shared"
    # Reading is all that can be given.
    for operation, action in (
        (other.delete_layer_version, "DeleteLayerVersion"),
        (other.get_layer_version_policy, "GetLayerVersionPolicy"),
    ):
        assert refused(operation, LayerName=layer, VersionNumber=1) == denied(action, arn)


# ---- functions with layers ----------------------------------------------------------------------------------------


def test_a_function_refuses_layers_that_aws_refuses(client: Any, name: str, refused: Refusal, create: Create) -> None:
    first, second = (publish(client, name, {"file": str(number)})["LayerVersionArn"] for number in range(2))
    create()
    twice = (
        400,
        INVALID,
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{first} and {second} are versions of the same layer.",
    )
    refusals = {
        (first, second): twice,
        (f"{LAYER}:{name}:3",): (400, INVALID, f"Layer version {LAYER}:{name}:3 does not exist."),
        (first.replace("us-east-1", "eu-west-1"),): (
            400,
            INVALID,
            "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
        ),
        (first.replace(ACCOUNT, "123456789012"),): (
            403,
            "AccessDeniedException",
            f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: lambda:GetLayerVersion on resource: "
            f"{first.replace(ACCOUNT, '123456789012')} because no resource-based policy allows the "
            "lambda:GetLayerVersion action",
        ),
        ("arn:aws:lambda:::awslayer:AmazonLinux1803",): (
            400,
            INVALID,
            "Layer version arn:aws:lambda:::awslayer:AmazonLinux1803 does not exist.",
        ),
    }
    # No version is written like these; one with a leading zero would pass by policies that name the version.
    for number in ("02", "9" * 30):
        odd = f"{LAYER}:{name}:{number}"
        refusals[(odd,)] = (400, INVALID, f"Layer version {odd} does not exist.")
        assert refused(client.get_layer_version_by_arn, Arn=odd)[0] == 404
    for layers, refusal in refusals.items():
        update = {"FunctionName": name, "Layers": list(layers)}
        assert refused(client.update_function_configuration, **update) == refusal
        assert refused(client.create_function, **definition(f"{name}-other", Layers=list(layers))) == refusal
    assert "Layers" not in client.get_function_configuration(FunctionName=name)


@pytest.mark.slow
def test_code_and_layers_together_have_a_limit(client: Any, name: str, refused: Refusal, create: Create) -> None:
    half = 131_072_000
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("file", bytes(half))
    layers = [
        client.publish_layer_version(LayerName=f"{name}-{number}", Content={"ZipFile": buffer.getvalue()})[
            "LayerVersionArn"
        ]
        for number in range(2)
    ]
    too_large = (
        400,
        INVALID,
        "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. "
        f"The actual size is {2 * half + len(HANDLER)} bytes.",
    )
    assert refused(client.create_function, **definition(name, Layers=layers)) == too_large
    create(Layers=layers[:1])
    assert refused(client.update_function_configuration, FunctionName=name, Layers=layers) == too_large


NODE = """
import { name } from 'deep';
import { createRequire } from 'node:module';
const required = createRequire(import.meta.url)('tool');
export const handler = async () => ({ imported: name, required: required.name });
"""


def node_layer(client: Any, name: str) -> str:
    layer = publish(
        client,
        name,
        {
            "nodejs/node_modules/deep/package.json": '{"name":"deep","type":"module","exports":"./index.js"}',
            "nodejs/node_modules/deep/index.js": "export const name = 'deep';\n",
            "nodejs/node20/node_modules/tool/index.js": "exports.name = 'tool';\n",
        },
    )
    return str(layer["LayerVersionArn"])


def test_a_node_function_finds_modules_of_layers(client: Any, name: str, create: Create) -> None:
    files = zipped({"index.mjs": NODE})
    layers = [node_layer(client, name)]
    create(Runtime="nodejs20.x", Handler="index.handler", Code={"ZipFile": files}, Layers=layers, MemorySize=256)
    assert invoke(client, name) == {"imported": "deep", "required": "tool"}


def bootstrap_layer(client: Any, name: str) -> str:
    script = (
        "#!/bin/sh\n"
        'api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"\n'
        'id=$(curl -s -D - -o /dev/null "$api/next" | tr -d "\\r" | sed -n "s/^lambda-runtime-aws-request-id: //Ip")\n'
        'curl -s -d \'"from a layer"\' "$api/$id/response"\n'
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        program = zipfile.ZipInfo("bootstrap")
        program.external_attr = 0o100755 << 16
        archive.writestr(program, script)
    layer = client.publish_layer_version(LayerName=name, Content={"ZipFile": buffer.getvalue()})
    return str(layer["LayerVersionArn"])


def test_a_custom_runtime_may_come_from_a_layer(client: Any, name: str, create: Create) -> None:
    create(Runtime="provided.al2023", Handler="any", Layers=[bootstrap_layer(client, name)])
    assert invoke(client, name) == "from a layer"


@pytest.mark.slow
def test_layers_are_found_where_nothing_can_be_mounted(passable: Path, start_region: Callable[..., Any]) -> None:
    client = start_region("--isolation", "process", data_dir=passable / "data").client("lambda")
    layers = [node_layer(client, "modules"), bootstrap_layer(client, "bootstrap")]
    client.create_function(
        **definition("node", Runtime="nodejs20.x", Handler="index.handler", MemorySize=256, Layers=layers)
        | {"Code": {"ZipFile": zipped({"index.mjs": NODE})}}
    )
    assert invoke(client, "node") == {"imported": "deep", "required": "tool"}
    client.create_function(**definition("custom", Runtime="provided.al2023", Handler="any", Layers=layers))
    assert invoke(client, "custom") == "from a layer"


PYTHON = """
import os, tool, deep, upper

OPT = os.path.dirname(os.path.dirname(tool.__file__))

def handler(event, context):
    try:
        open(OPT + "/new", "w")
        written = True
    except OSError:
        written = False
    with open(OPT + "/both") as file:
        both = file.read()
    return {
        "tool": tool.NAME, "deep": deep.NAME, "upper": upper.NAME, "both": both, "written": written,
        "program": os.popen("program").read(), "libraries": OPT + "/lib" in os.environ["LD_LIBRARY_PATH"].split(":"),
    }
"""


@pytest.mark.slow
def test_a_function_finds_its_layers_merged_in_order(start_region: Callable[..., Any]) -> None:
    region = start_region()
    client, name = region.client("lambda"), "layered"
    lower = publish(
        client,
        f"{name}-lower",
        {
            "python/tool.py": "NAME = 'lower'\n",
            "python/lib/python3.12/site-packages/deep.py": "NAME = 'deep'\n",
            "both": "lower",
        },
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("python/upper.py", "NAME = 'upper'\n")
        archive.writestr("both", "upper")
        program = zipfile.ZipInfo("bin/program")
        program.external_attr = 0o100755 << 16
        archive.writestr(program, "#!/bin/sh\nprintf ran\n")
    upper = client.publish_layer_version(LayerName=f"{name}-upper", Content={"ZipFile": buffer.getvalue()})
    arns = [lower["LayerVersionArn"], upper["LayerVersionArn"]]
    created = client.create_function(**definition(name, Code={"ZipFile": zipped({"app.py": PYTHON})}, Layers=arns))
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 200})
    sizes = [layer["Content"]["CodeSize"] for layer in (lower, upper)]
    shown = [{"Arn": arn, "CodeSize": size} for arn, size in zip(arns, sizes, strict=True)]
    assert created["Layers"] == shown
    expected = {
        "tool": "lower",
        "deep": "deep",
        "upper": "upper",
        "both": "upper",
        "written": False,
        "program": "ran",
        "libraries": True,
    }
    assert invoke(client, name) == expected

    # A version keeps the layers that it was published with, and a function those that are deleted.
    version = client.publish_version(FunctionName=name)["Version"]
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0})
    client.update_function_configuration(FunctionName=name, Layers=list(reversed(arns)))
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0})
    for layer in (lower, upper):
        client.delete_layer_version(LayerName=layer["LayerArn"], VersionNumber=1)
    assert invoke(client, name)["both"] == "lower"
    assert invoke(client, name, Qualifier=version) == expected
    region.restart()
    client = region.client("lambda")
    assert client.get_function_configuration(FunctionName=name)["Layers"] == list(reversed(shown))
    assert invoke(client, name)["both"] == "lower"
    client.update_function_configuration(FunctionName=name, Layers=[])
    assert "Layers" not in client.get_function_configuration(FunctionName=name)
