"""Settings that say where and how a function runs: VPC, key, runtime updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lambda_helpers import Refusal, definition


@pytest.fixture(scope="module", autouse=True)
def subnets(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> None:
    """The module's region is started with them."""
    config = tmp_path_factory.mktemp("config") / "lambent.toml"
    lines = ['"subnet-1" = "none"', '"subnet-2" = "none"', '"subnet-3" = { allow = ["10.1.0.0/16"] }']
    config.write_text("\n".join(["[vpc.subnets]", *lines]))
    request.module.REGION_OPTIONS = ("--config", str(config), "--network", "auto")


Create = Callable[..., dict[str, Any]]

INVALID = "InvalidParameterValueException"
VPC = {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"


def test_a_vpc_is_reported_as_given_until_it_is_taken_away(
    client: Any, name: str, create: Create, refused: Refusal
) -> None:
    created = create(VpcConfig={**VPC, "Ipv6AllowedForDualStack": True})["VpcConfig"]
    assert {member: created[member] for member in VPC} == VPC
    assert created["Ipv6AllowedForDualStack"] is True
    assert created["VpcId"].startswith("vpc-")
    assert client.get_function_configuration(FunctionName=name)["VpcConfig"] == created
    client.update_function_configuration(FunctionName=name, Timeout=4)
    assert client.get_function_configuration(FunctionName=name)["VpcConfig"] == created
    lonely = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []}
    assert refused(client.update_function_configuration, FunctionName=name, VpcConfig=lonely) == (
        400,
        INVALID,
        "SubnetIds and SecurityIds must coexist or be both empty list.",
    )
    client.update_function_configuration(FunctionName=name, VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    none = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False}
    assert client.get_function_configuration(FunctionName=name)["VpcConfig"] == none
    assert client.invoke(FunctionName=name)["StatusCode"] == 200


def test_only_subnets_that_lead_to_one_network_are_accepted(name: str, create: Create, refused: Refusal) -> None:
    def creating(*subnets: str) -> tuple[int, str, str]:
        return refused(create, VpcConfig={"SubnetIds": list(subnets), "SecurityGroupIds": ["sg-1"]})

    status, code, message = creating("subnet-1", "subnet-9")
    assert (status, code) == (400, INVALID)
    assert message.startswith(
        "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. "
        "EC2 Error Message: The subnet ID 'subnet-9' does not exist"
    )
    status, code, message = creating("subnet-1", "subnet-3")
    assert (status, code) == (400, INVALID)
    assert "lead to different networks" in message


def test_a_key_is_echoed_until_it_is_taken_away(client: Any, name: str, create: Create, refused: Refusal) -> None:
    variables = {"Variables": {"SECRET": "word"}}
    assert create(KMSKeyArn=KEY, Environment=variables)["KMSKeyArn"] == KEY
    shown = client.get_function_configuration(FunctionName=name)
    assert (shown["KMSKeyArn"], shown["Environment"]) == (KEY, variables)
    client.update_function_configuration(FunctionName=name, KMSKeyArn="")
    assert "KMSKeyArn" not in client.get_function_configuration(FunctionName=name)
    other = "arn:aws:s3:::bucket"
    assert refused(client.update_function_configuration, FunctionName=name, KMSKeyArn=other) == (
        400,
        INVALID,
        f"The KMSKeyArn is not the ARN of a key: {other}",
    )


def test_images_are_refused(client: Any, name: str, refused: Refusal, create: Create) -> None:
    image = {"FunctionName": name, "Role": definition(name)["Role"], "PackageType": "Image", "Code": {"ImageUri": "x"}}
    status, code, message = refused(client.create_function, **image)
    assert (status, code) == (400, INVALID)
    assert message.startswith("PackageType Image is not supported by this Lambent region")
    create()
    assert refused(client.update_function_code, FunctionName=name, ImageUri="x") == (
        400,
        INVALID,
        "Please don't provide ImageUri when updating a function with packageType Zip.",
    )


def test_runtime_updates_are_kept_for_each_version(client: Any, name: str, create: Create, refused: Refusal) -> None:
    arn = create()["FunctionArn"]
    pinned = client.get_function_configuration(FunctionName=name)["RuntimeVersionConfig"]["RuntimeVersionArn"]
    get, put = client.get_runtime_management_config, client.put_runtime_management_config

    def shown(answer: dict[str, Any]) -> tuple[str, str, str | None]:
        return answer["UpdateRuntimeOn"], answer["FunctionArn"], answer.get("RuntimeVersionArn")

    assert shown(get(FunctionName=name)) == ("Auto", arn, None)
    before = client.get_function_configuration(FunctionName=name)["RevisionId"]
    manual = put(FunctionName=name, UpdateRuntimeOn="Manual", RuntimeVersionArn=pinned)
    assert shown(manual) == ("Manual", arn, pinned)
    assert client.get_function_configuration(FunctionName=name)["RevisionId"] != before
    version = client.publish_version(FunctionName=name)["Version"]
    put(FunctionName=name, UpdateRuntimeOn="FunctionUpdate")
    assert shown(get(FunctionName=name)) == ("FunctionUpdate", arn, None)
    assert shown(get(FunctionName=name, Qualifier=version)) == ("Manual", f"{arn}:{version}", pinned)
    put(FunctionName=name, Qualifier=version, UpdateRuntimeOn="Auto")
    assert shown(get(FunctionName=name, Qualifier=version)) == ("Auto", f"{arn}:{version}", None)

    wrong = "arn:aws:lambda:us-east-1::runtime:" + "0" * 64
    assert refused(put, FunctionName=name, UpdateRuntimeOn="Manual", RuntimeVersionArn=wrong) == (
        400,
        INVALID,
        f"The runtime version {wrong} cannot be pinned: this region's version of python3.12 is {pinned}.",
    )
    assert refused(put, FunctionName=name, UpdateRuntimeOn="Manual")[:2] == (400, INVALID)
    assert refused(put, FunctionName=name, UpdateRuntimeOn="Auto", RuntimeVersionArn=pinned)[:2] == (400, INVALID)
    assert refused(put, FunctionName=name, Qualifier="live", UpdateRuntimeOn="Auto") == (
        400,
        INVALID,
        f"The provided function name {arn}:live is invalid. Aliases are not allowed.",
    )
    assert refused(get, FunctionName=name, Qualifier="7") == (
        404,
        "ResourceNotFoundException",
        f"Function not found: {arn}:7",
    )
