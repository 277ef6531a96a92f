"""Provisioned concurrency as the API's clients see it: what is kept ready, what is refused, what becomes of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_helpers import definition, zipped

from tests.conftest import Region, wait_until

SOURCE = """
import os
seen = 0
def handler(event, context):
    global seen
    seen += 1
    if event == "die":
        os._exit(3)
    return [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], seen, context.function_version]
"""
BROKEN = "raise RuntimeError('never')\n"

Create = Callable[..., dict[str, Any]]


@pytest.fixture
def published(client: Any, create: Create, name: str) -> str:
    """This test's function has version 1 and an alias `live` for it."""
    create(Code={"ZipFile": zipped({"app.py": SOURCE})}, Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


def put(client: Any, name: str, qualifier: str, amount: int) -> dict[str, Any]:
    answer: dict[str, Any] = client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=amount
    )
    return answer


def get(client: Any, name: str, qualifier: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)
    return answer


def become(client: Any, name: str, qualifier: str, status: str = "READY") -> dict[str, Any]:
    def now() -> dict[str, Any] | None:
        answer = get(client, name, qualifier)
        return answer if answer["Status"] == status else None

    found: dict[str, Any] = wait_until(now, what=f"{qualifier} {status}")
    return found


def invoke(client: Any, name: str, qualifier: str, event: Any = None) -> Any:
    answer = client.invoke(FunctionName=name, Qualifier=qualifier, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read())


def environments(region: Region, name: str) -> list[dict[str, Any]]:
    answer = region.request("GET", "/_lambent/environments", sign="lambda")
    return [each for each in answer.json()["environments"] if each["function"] == name]


def test_an_alias_is_provisioned_and_its_invocations_find_it_ready(client: Any, published: str) -> None:
    accepted = put(client, published, "live", 2)
    assert accepted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert {key: accepted[key] for key in accepted if key not in ("ResponseMetadata", "LastModified")} == {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "AvailableProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
    }
    ready = become(client, published, "live")
    assert (ready["AllocatedProvisionedConcurrentExecutions"], ready["AvailableProvisionedConcurrentExecutions"]) == (
        2,
        2,
    )
    assert "StatusReason" not in ready
    assert invoke(client, published, "live") == ["provisioned-concurrency", 1, "1"]
    assert invoke(client, published, "$LATEST")[0] == "on-demand"


def test_the_log_tells_of_its_init(client: Any, published: str) -> None:
    put(client, published, "1", 1)
    become(client, published, "1")
    answer = client.invoke(FunctionName=published, Qualifier="1", LogType="Tail")
    report = base64.b64decode(answer["LogResult"]).decode().rsplit("REPORT", 1)[1]
    duration, billed = (float(report.split(f"\t{name}: ")[1].split(" ")[0]) for name in ("Duration", "Billed Duration"))
    assert "Init Duration" in report
    assert billed - 1 < duration <= billed


def test_configurations_are_listed_changed_and_deleted(client: Any, published: str) -> None:
    put(client, published, "live", 1)
    become(client, published, "live")
    [listed] = client.list_provisioned_concurrency_configs(FunctionName=published)["ProvisionedConcurrencyConfigs"]
    assert listed["FunctionArn"].endswith(f":{published}:live")
    assert (listed["Status"], listed["RequestedProvisionedConcurrentExecutions"]) == ("READY", 1)
    put(client, published, "live", 3)
    assert become(client, published, "live")["AvailableProvisionedConcurrentExecutions"] == 3
    for _ in range(2):
        answer = client.delete_provisioned_concurrency_config(FunctionName=published, Qualifier="live")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert client.list_provisioned_concurrency_configs(FunctionName=published)["ProvisionedConcurrencyConfigs"] == []


def test_what_cannot_have_any_is_refused(client: Any, published: str, refused: Any, region: Region) -> None:
    account = "arn:aws:lambda:us-east-1:000000000000:function:"

    def putting(qualifier: str, amount: int = 1, name: str = published) -> tuple[int, str, str]:
        return refused(
            client.put_provisioned_concurrency_config,
            FunctionName=name,
            Qualifier=qualifier,
            ProvisionedConcurrentExecutions=amount,
        )

    assert putting("$LATEST") == (
        400,
        "InvalidParameterValueException",
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
    )
    assert putting("9") == (404, "ResourceNotFoundException", f"Function not found: {account}{published}:9")
    assert putting("no") == (404, "ResourceNotFoundException", f"Cannot find alias arn: {account}{published}:no")
    assert putting("1", name="nobody")[0] == 404
    free = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    assert putting("1", free + 1) == (
        400,
        "InvalidParameterValueException",
        f"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{free}].",
    )
    assert putting("1", free - 99) == (
        400,
        "InvalidParameterValueException",
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
        "below its minimum value of [100].",
    )
    look_up = {"FunctionName": published, "Qualifier": "1"}
    assert refused(client.get_provisioned_concurrency_config, **look_up) == (
        404,
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
    )
    assert refused(client.get_provisioned_concurrency_config, **{**look_up, "Qualifier": "$LATEST"}) == (
        400,
        "InvalidParameterValueException",
        "The function resource provided must be an alias or a published version.",
    )


def test_a_version_and_an_alias_for_it_cannot_both_have_some(client: Any, published: str, refused: Any) -> None:
    put(client, published, "live", 1)
    params = {"FunctionName": published, "ProvisionedConcurrentExecutions": 1}
    assert refused(client.put_provisioned_concurrency_config, Qualifier="1", **params) == (
        409,
        "ResourceConflictException",
        "Version is pointed by a Provisioned Concurrency alias",
    )
    client.delete_provisioned_concurrency_config(FunctionName=published, Qualifier="live")
    put(client, published, "1", 1)
    assert refused(client.put_provisioned_concurrency_config, Qualifier="live", **params) == (
        409,
        "ResourceConflictException",
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    )


def test_an_alias_with_some_leads_to_no_version_that_cannot_have_it(client: Any, published: str, refused: Any) -> None:
    put(client, published, "live", 1)
    client.update_function_configuration(FunctionName=published, Description="another")
    client.publish_version(FunctionName=published)
    put(client, published, "2", 1)
    assert refused(client.update_alias, FunctionName=published, Name="live", FunctionVersion="2") == (
        409,
        "ResourceConflictException",
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    )
    status, code, _ = refused(client.update_alias, FunctionName=published, Name="live", FunctionVersion="$LATEST")
    assert (status, code) == (400, "InvalidParameterValueException")
    assert client.get_alias(FunctionName=published, Name="live")["FunctionVersion"] == "1"


def test_a_reservation_and_what_is_provisioned_hold_each_other(client: Any, published: str, refused: Any) -> None:
    client.put_function_concurrency(FunctionName=published, ReservedConcurrentExecutions=2)
    assert refused(
        client.put_provisioned_concurrency_config,
        FunctionName=published,
        Qualifier="1",
        ProvisionedConcurrentExecutions=3,
    ) == (
        400,
        "InvalidParameterValueException",
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
    )
    put(client, published, "1", 2)
    assert refused(client.put_function_concurrency, FunctionName=published, ReservedConcurrentExecutions=1) == (
        400,
        "InvalidParameterValueException",
        " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2].",
    )
    client.delete_function_concurrency(FunctionName=published)
    limit = client.get_account_settings()["AccountLimit"]
    assert limit["ConcurrentExecutions"] - limit["UnreservedConcurrentExecutions"] >= 2


def test_a_moved_alias_takes_it_along(client: Any, region: Region, published: str) -> None:
    put(client, published, "live", 1)
    become(client, published, "live")
    client.update_function_configuration(FunctionName=published, Description="another")
    client.publish_version(FunctionName=published)
    client.update_alias(FunctionName=published, Name="live", FunctionVersion="2")
    become(client, published, "live")
    assert invoke(client, published, "live") == ["provisioned-concurrency", 1, "2"]
    wait_until(lambda: {each["version"] for each in environments(region, published)} == {"2"})
    # One that leads to two shares it out.
    put(client, published, "live", 4)
    client.update_alias(FunctionName=published, Name="live", RoutingConfig={"AdditionalVersionWeights": {"1": 0.25}})
    become(client, published, "live")
    versions = sorted(each["version"] for each in environments(region, published) if each["provisioned"])
    assert versions == ["1", "2", "2", "2"]


def test_one_that_dies_is_replaced_and_a_restart_provisions_again(
    start_region: Callable[..., Region], tmp_path: Path
) -> None:
    region = start_region()
    client = region.client("lambda")
    from_scratch(client, "kept", SOURCE)
    put(client, "kept", "1", 1)
    become(client, "kept", "1")
    assert invoke(client, "kept", "1", "die")["errorType"] == "Runtime.ExitError"
    wait_until(lambda: [each["invocations"] for each in environments(region, "kept")] == [0])
    become(client, "kept", "1")
    region.kill()
    client = region.start().client("lambda")
    become(client, "kept", "1")
    assert invoke(client, "kept", "1") == ["provisioned-concurrency", 1, "1"]
    client.delete_function(FunctionName="kept")
    wait_until(lambda: environments(region, "kept") == [])


def test_code_that_does_not_load_fails_it_with_aws_reason(client: Any, name: str, create: Create) -> None:
    create(Code={"ZipFile": zipped({"app.py": BROKEN})}, Publish=True)
    put(client, name, "1", 1)
    failed = become(client, name, "1", "FAILED")
    assert failed["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
    assert failed["AvailableProvisionedConcurrentExecutions"] == 0


def from_scratch(client: Any, name: str, source: str) -> None:
    client.create_function(**definition(name, Code={"ZipFile": zipped({"app.py": source})}, Publish=True))
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 200})
