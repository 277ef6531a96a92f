"""Code signing configurations, and what they say to deployments where nothing is ever signed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from lambda_helpers import Refusal, definition, zipped

Create = Callable[..., dict[str, Any]]

PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/ours/abcdefgh"
PUBLISHERS = {"SigningProfileVersionArns": [PROFILE]}
ENFORCE = {"UntrustedArtifactOnDeployment": "Enforce"}
UNKNOWN = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000"


def made(client: Any, **params: Any) -> str:
    answer = client.create_code_signing_config(AllowedPublishers=PUBLISHERS, **params)
    return str(answer["CodeSigningConfig"]["CodeSigningConfigArn"])


def blocked(name: str) -> tuple[int, str, str]:
    return (
        400,
        "CodeVerificationFailedException",
        "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client "
        f"is not configured to accept. Check the provided signature for {name}.",
    )


def test_a_configuration_is_created_read_changed_and_deleted(region: Any, client: Any, refused: Refusal) -> None:
    created = client.create_code_signing_config(AllowedPublishers=PUBLISHERS, Tags={"team": "a"})
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    config = created["CodeSigningConfig"]
    arn = config["CodeSigningConfigArn"]
    assert arn.endswith(f":code-signing-config:{config['CodeSigningConfigId']}")
    assert config["AllowedPublishers"] == PUBLISHERS
    assert config["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}
    assert "Description" not in config
    assert client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"] == config
    updated = client.update_code_signing_config(
        CodeSigningConfigArn=arn, Description="Ours", CodeSigningPolicies=ENFORCE
    )["CodeSigningConfig"]
    assert (updated["Description"], updated["CodeSigningPolicies"]) == ("Ours", ENFORCE)
    assert updated["AllowedPublishers"] == PUBLISHERS

    assert client.list_tags(Resource=arn)["Tags"] == {"team": "a"}
    client.tag_resource(Resource=arn, Tags={"more": "b"})
    client.untag_resource(Resource=arn, TagKeys=["team"])
    assert client.list_tags(Resource=arn)["Tags"] == {"more": "b"}

    assert client.delete_code_signing_config(CodeSigningConfigArn=arn)["ResponseMetadata"]["HTTPStatusCode"] == 204
    for operation in (
        client.get_code_signing_config,
        client.update_code_signing_config,
        client.delete_code_signing_config,
        client.list_functions_by_code_signing_config,
    ):
        assert refused(operation, CodeSigningConfigArn=arn) == (
            404,
            "ResourceNotFoundException",
            f"The Lambda code signing configuration {arn} can not be found.",
        )
    assert refused(client.list_tags, Resource=arn)[:2] == (404, "ResourceNotFoundException")


def test_configurations_are_listed_by_page(region: Any) -> None:
    here = region.client("lambda", region_name="eu-west-2")
    arns = sorted(made(here) for _ in range(3))
    pages = here.get_paginator("list_code_signing_configs").paginate(PaginationConfig={"PageSize": 2})
    assert [config["CodeSigningConfigArn"] for page in pages for config in page["CodeSigningConfigs"]] == arns


def test_enforce_refuses_every_deployment(client: Any, name: str, refused: Refusal, create: Create) -> None:
    enforced = made(client, CodeSigningPolicies=ENFORCE)
    definition_with = definition(name, CodeSigningConfigArn=enforced)
    assert refused(client.create_function, **definition_with) == blocked(name)
    assert refused(client.get_function, FunctionName=name)[0] == 404

    # What is deployed already stays; the next deployment is asked.
    create()
    assert client.get_function_code_signing_config(FunctionName=name).get("CodeSigningConfigArn") is None
    put = client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=enforced)
    assert (put["CodeSigningConfigArn"], put["FunctionName"]) == (enforced, name)
    assert client.get_function_code_signing_config(FunctionName=name)["CodeSigningConfigArn"] == enforced
    assert refused(client.update_function_code, FunctionName=name, ZipFile=zipped()) == blocked(name)
    layer = client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped()})["LayerVersionArn"]
    assert refused(client.update_function_configuration, FunctionName=name, Layers=[layer]) == blocked(name)
    client.update_function_configuration(FunctionName=name, Timeout=5)

    used = client.list_functions_by_code_signing_config(CodeSigningConfigArn=enforced)["FunctionArns"]
    assert used == [f"arn:aws:lambda:us-east-1:000000000000:function:{name}"]
    assert refused(client.delete_code_signing_config, CodeSigningConfigArn=enforced)[:2] == (
        409,
        "ResourceConflictException",
    )
    removed = client.delete_function_code_signing_config(FunctionName=name)
    assert removed["ResponseMetadata"]["HTTPStatusCode"] == 204
    client.update_function_code(FunctionName=name, ZipFile=zipped({"app.py": "x = 1"}))
    client.delete_code_signing_config(CodeSigningConfigArn=enforced)


def counted(region: Any, name: str) -> float:
    """Deployments of unsigned code that were let pass, by the metric."""
    now = datetime.now(UTC)
    points = region.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="SignatureValidationErrors",
        Dimensions=[{"Name": "FunctionName", "Value": name}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def test_warn_takes_a_deployment_says_so_and_counts_it(region: Any, client: Any, name: str, create: Create) -> None:
    warned = made(client)
    create(CodeSigningConfigArn=warned)
    assert client.get_function_code_signing_config(FunctionName=name)["CodeSigningConfigArn"] == warned
    assert f"The code of {name} is not signed, which {warned} allows" in region.log()
    client.update_function_code(FunctionName=name, ZipFile=zipped(), DryRun=True)
    client.update_function_code(FunctionName=name, ZipFile=zipped())
    assert counted(region, name) == 2
    client.delete_function(FunctionName=name)
    assert client.list_functions_by_code_signing_config(CodeSigningConfigArn=warned)["FunctionArns"] == []


def test_a_configuration_that_is_not_there_is_refused(client: Any, name: str, refused: Refusal, create: Create) -> None:
    missing = (
        404,
        "CodeSigningConfigNotFoundException",
        f"The code signing configuration cannot be found. Check that the provided configuration is not deleted: "
        f"{UNKNOWN}.",
    )
    assert refused(client.create_function, **definition(name, CodeSigningConfigArn=UNKNOWN)) == missing
    create()
    put = client.put_function_code_signing_config
    assert refused(put, FunctionName=name, CodeSigningConfigArn=UNKNOWN) == missing
    existing = made(client)
    assert refused(put, FunctionName="nobody", CodeSigningConfigArn=existing) == (
        404,
        "ResourceNotFoundException",
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody",
    )
