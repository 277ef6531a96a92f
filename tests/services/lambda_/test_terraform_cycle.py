"""What Terraform's AWS provider does with functions and what hangs on them, call by call.

Each resource is created, read back without a difference to what was asked for (or Terraform would plan changes for
ever), updated, read back again, destroyed, and looked for until it is not found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lambda_helpers import ROLE, Refusal, zipped

#: What aws_lambda_function sends whether it is configured or not, and expects to find as it is.
DEFAULTS: dict[str, Any] = {
    "Description": "",
    "MemorySize": 128,
    "Timeout": 3,
    "PackageType": "Zip",
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
}
#: What it reads back and knows the defaults of.
ALWAYS_THERE = {
    "TracingConfig": {"Mode": "PassThrough"},
    "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
}


class Plan:
    """The resources of one configuration, as the provider handles them."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name
        self.arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
        self.refused = Refusal(client)

    # ---- aws_lambda_function ----

    def create_function(self, **configured: Any) -> None:
        self.client.create_function(
            FunctionName=self.name, Role=ROLE, Code={"ZipFile": zipped()}, **{**DEFAULTS, **configured}
        )
        self._wait("function_active_v2")

    def read_function(self) -> dict[str, Any]:
        """Its configuration, with the calls that each refresh makes."""
        found = self.client.get_function(FunctionName=self.name)
        assert self.client.get_function_code_signing_config(FunctionName=self.name).get("CodeSigningConfigArn") is None
        versions = self.client.get_paginator("list_versions_by_function").paginate(FunctionName=self.name)
        *_, last = [version["Version"] for page in versions for version in page["Versions"]]
        return {
            **found["Configuration"],
            "Tags": found.get("Tags", {}),
            "Reserved": found.get("Concurrency", {}).get("ReservedConcurrentExecutions", -1),
            "Newest": last,
        }

    def update_function(self, **configured: Any) -> None:
        """All of it is sent, what was taken away as its empty form."""
        empty = {
            "DeadLetterConfig": {"TargetArn": ""},
            "Environment": {"Variables": {}},
            "FileSystemConfigs": [],
            "KMSKeyArn": "",
            "Layers": [],
            "SnapStart": {"ApplyOn": "None"},
            "TracingConfig": {"Mode": "PassThrough"},
            "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
        }
        updatable = {key: value for key, value in DEFAULTS.items() if key not in ("PackageType", "Architectures")}
        self.client.update_function_configuration(
            FunctionName=self.name, Role=ROLE, **{**updatable, **empty, **configured}
        )
        self._wait("function_updated_v2")

    def update_code(self, text: str) -> None:
        self.client.update_function_code(FunctionName=self.name, ZipFile=zipped({"app.py": text}))
        self._wait("function_updated_v2")

    def _wait(self, waiter: str) -> None:
        self.client.get_waiter(waiter).wait(FunctionName=self.name, WaiterConfig={"Delay": 0, "MaxAttempts": 200})

    # ---- aws_lambda_permission, aws_lambda_layer_version_permission ----

    def statement(self, policy: str, sid: str) -> dict[str, Any]:
        """How the provider finds a statement in a policy, or that it is gone."""
        return next((found for found in json.loads(policy)["Statement"] if found["Sid"] == sid), {})


@pytest.fixture
def plan(client: Any, name: str) -> Plan:
    return Plan(client, name)


@pytest.fixture
def function(plan: Plan) -> Iterator[None]:
    plan.create_function(Handler="app.handler", Runtime="python3.12", Publish=True)
    yield
    plan.client.delete_function(FunctionName=plan.name)


def without_drift(read: dict[str, Any], configured: dict[str, Any]) -> bool:
    expected = {**DEFAULTS, **ALWAYS_THERE, **configured}
    return {key: read.get(key) for key in expected} == expected


def test_a_function(plan: Plan) -> None:
    configured = {
        "Handler": "app.handler",
        "Runtime": "python3.12",
        "Environment": {"Variables": {"STAGE": "test"}},
        "Tags": {"team": "one"},
    }
    plan.create_function(**configured)
    read = plan.read_function()
    assert without_drift(read, configured)
    assert (read["Version"], read["Newest"], read["Reserved"]) == ("$LATEST", "$LATEST", -1)
    assert not read.keys() & {"Layers", "VpcConfig", "DeadLetterConfig"}
    assert read["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{plan.name}"}

    # Changed: settings, tags, code, concurrency; and published.
    changed = {"Handler": "app.other", "Runtime": "python3.12", "Description": "changed", "MemorySize": 256}
    plan.update_function(**changed)
    plan.update_code("def other(event, context):\n    return 1\n")
    plan.client.tag_resource(Resource=plan.arn, Tags={"team": "two"})
    plan.client.put_function_concurrency(FunctionName=plan.name, ReservedConcurrentExecutions=5)
    plan.client.publish_version(FunctionName=plan.name)
    after = plan.read_function()
    assert without_drift(after, {**changed, "Tags": {"team": "two"}, "Reserved": 5, "Newest": "1"})
    assert after.get("Environment", {"Variables": {}}) == {"Variables": {}}
    assert after["CodeSha256"] != read["CodeSha256"]
    assert plan.client.get_function(FunctionName=plan.name, Qualifier="1")["Configuration"]["Version"] == "1"

    plan.client.delete_function_concurrency(FunctionName=plan.name)
    assert plan.read_function()["Reserved"] == -1
    plan.client.delete_function(FunctionName=plan.name)
    assert plan.refused(plan.client.get_function, FunctionName=plan.name)[1] == "ResourceNotFoundException"


def test_an_alias(plan: Plan, function: None) -> None:
    client = plan.client
    plan.update_function(Handler="app.handler", Runtime="python3.12", Description="second")
    client.publish_version(FunctionName=plan.name)
    client.create_alias(FunctionName=plan.name, Name="live", FunctionVersion="1", Description="")
    read = client.get_alias(FunctionName=plan.name, Name="live")
    assert (read["AliasArn"], read["FunctionVersion"], read["Description"]) == (f"{plan.arn}:live", "1", "")
    assert "RoutingConfig" not in read
    client.update_alias(
        FunctionName=plan.name,
        Name="live",
        FunctionVersion="1",
        Description="some",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}},
    )
    read = client.get_alias(FunctionName=plan.name, Name="live")
    assert (read["Description"], read["RoutingConfig"]) == ("some", {"AdditionalVersionWeights": {"2": 0.25}})
    # A routing_config that was taken away is sent empty.
    client.update_alias(FunctionName=plan.name, Name="live", FunctionVersion="2", Description="some", RoutingConfig={})
    read = client.get_alias(FunctionName=plan.name, Name="live")
    assert (read["FunctionVersion"], read.get("RoutingConfig", {})) == ("2", {})
    client.delete_alias(FunctionName=plan.name, Name="live")
    assert plan.refused(client.get_alias, FunctionName=plan.name, Name="live")[1] == "ResourceNotFoundException"


def test_a_permission(plan: Plan, function: None) -> None:
    client = plan.client
    source = "arn:aws:execute-api:us-east-1:000000000000:abc123/*"
    client.add_permission(
        FunctionName=plan.name,
        StatementId="AllowApi",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=source,
        SourceAccount="000000000000",
    )
    client.add_permission(
        FunctionName=plan.name,
        StatementId="Other",
        Action="lambda:InvokeFunction",
        Principal="123456789012",
        Qualifier="1",
    )
    read = plan.statement(client.get_policy(FunctionName=plan.name)["Policy"], "AllowApi")
    assert (read["Action"], read["Resource"], read["Principal"]) == (
        "lambda:InvokeFunction",
        plan.arn,
        {"Service": "apigateway.amazonaws.com"},
    )
    assert read["Condition"]["ArnLike"]["AWS:SourceArn"] == source
    assert read["Condition"]["StringEquals"]["AWS:SourceAccount"] == "000000000000"
    other = plan.statement(client.get_policy(FunctionName=plan.name, Qualifier="1")["Policy"], "Other")
    assert (other["Resource"], other["Principal"]) == (f"{plan.arn}:1", {"AWS": "arn:aws:iam::123456789012:root"})
    client.remove_permission(FunctionName=plan.name, StatementId="AllowApi")
    assert plan.refused(client.get_policy, FunctionName=plan.name)[1] == "ResourceNotFoundException"
    # Destroyed twice, as after an apply that was cut off.
    gone = plan.refused(client.remove_permission, FunctionName=plan.name, StatementId="AllowApi")
    assert gone[1] == "ResourceNotFoundException"


def test_a_function_url(plan: Plan, function: None) -> None:
    """With authorization_type NONE, the provider adds both permissions by itself."""
    client = plan.client
    client.create_function_url_config(FunctionName=plan.name, AuthType="NONE", InvokeMode="BUFFERED")
    client.add_permission(
        FunctionName=plan.name,
        StatementId="FunctionURLAllowPublicAccess",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    client.add_permission(
        FunctionName=plan.name,
        StatementId="FunctionURLAllowInvokeAction",
        Action="lambda:InvokeFunction",
        Principal="*",
        InvokedViaFunctionUrl=True,
    )
    read = client.get_function_url_config(FunctionName=plan.name)
    assert (read["AuthType"], read["InvokeMode"], read.get("Cors")) == ("NONE", "BUFFERED", None)
    client.update_function_url_config(FunctionName=plan.name, AuthType="AWS_IAM", Cors={"AllowOrigins": ["*"]})
    read = client.get_function_url_config(FunctionName=plan.name)
    assert (read["AuthType"], read["Cors"]) == ("AWS_IAM", {"AllowOrigins": ["*"]})
    client.update_function_url_config(FunctionName=plan.name, Cors={})
    assert "Cors" not in client.get_function_url_config(FunctionName=plan.name)
    client.delete_function_url_config(FunctionName=plan.name)
    assert plan.refused(client.get_function_url_config, FunctionName=plan.name)[1] == "ResourceNotFoundException"


def test_a_layer_version_and_its_permission(plan: Plan) -> None:
    client = plan.client
    published = client.publish_layer_version(
        LayerName="planned",
        Content={"ZipFile": zipped({"python/tool.py": "x = 1\n"})},
        CompatibleRuntimes=["python3.12"],
        CompatibleArchitectures=["x86_64"],
        LicenseInfo="MIT",
        Description="tools",
    )
    number = published["Version"]
    which = {"LayerName": "planned", "VersionNumber": number}
    read = client.get_layer_version(**which)
    for field in ("LayerArn", "LayerVersionArn", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"):
        assert read[field] == published[field]
    assert (read["Description"], read["Content"]["CodeSha256"]) == ("tools", published["Content"]["CodeSha256"])

    statement = {"StatementId": "all", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    client.add_layer_version_permission(**which, **statement)
    policy = client.get_layer_version_policy(**which)
    found = plan.statement(policy["Policy"], "all")
    assert (found["Action"], found["Principal"], found["Resource"]) == (
        "lambda:GetLayerVersion",
        "*",
        published["LayerVersionArn"],
    )
    client.remove_layer_version_permission(**which, StatementId="all")
    assert plan.refused(client.get_layer_version_policy, **which)[1] == "ResourceNotFoundException"
    client.delete_layer_version(**which)
    assert plan.refused(client.get_layer_version, **which)[1] == "ResourceNotFoundException"
