"""SnapStart by the API: who may have it, what it excludes, how it is shown. $LATEST never has a snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_helpers import Refusal, definition, zipped

from lambent.errors import AwsError
from lambent.services.lambda_.domain import FileSystem, Settings
from lambent.services.lambda_.snap_start.domain import Eligibility
from tests.roles import ROLE

ON, OFF = {"ApplyOn": "PublishedVersions"}, {"ApplyOn": "None"}
INVALID = "InvalidParameterValueException"
FAST = {"Delay": 0, "MaxAttempts": 2000}

Create = Callable[..., dict[str, Any]]


def words(what: str) -> tuple[int, str, str]:
    return 400, INVALID, f"{what} is not supported for SnapStart enabled functions."


REFUSALS: dict[str, tuple[dict[str, Any], tuple[int, str, str]]] = {
    **{
        runtime: ({"Runtime": runtime}, words(runtime))
        for runtime in ("nodejs22.x", "provided.al2023", "ruby3.4", "java21", "dotnet8", "python3.11", "python3.9")
    },
    "/tmp": ({"EphemeralStorage": {"Size": 513}}, words("EphemeralStorage greater than 512 MB")),
    "tenants": (
        {"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}},
        (400, INVALID, "SnapStart is not supported for functions enabled with tenancy configuration."),
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_goes_with_no_snapshot_is_refused_at_creation(client: Any, name: str, refused: Refusal, case: str) -> None:
    changes, answer = REFUSALS[case]
    assert refused(client.create_function, **definition(name, SnapStart=ON, **changes)) == answer
    assert refused(client.get_function, FunctionName=name)[0] == 404


@pytest.mark.parametrize("case", ["nodejs22.x", "/tmp"])
def test_and_by_an_update_whichever_of_the_two_comes_last(
    client: Any, name: str, create: Create, refused: Refusal, case: str
) -> None:
    changes, answer = REFUSALS[case]
    create(SnapStart=ON)
    assert refused(client.update_function_configuration, FunctionName=name, **changes) == answer
    both_ways = {**changes, "SnapStart": OFF}
    assert client.update_function_configuration(FunctionName=name, **both_ways)["SnapStart"]["ApplyOn"] == "None"
    assert refused(client.update_function_configuration, FunctionName=name, SnapStart=ON) == answer


@pytest.mark.slow
def test_latest_has_the_setting_and_never_a_snapshot(client: Any, name: str, create: Create) -> None:
    create(SnapStart=ON)
    shown = client.get_function_configuration(FunctionName=name)
    assert shown["SnapStart"] == {**ON, "OptimizationStatus": "Off"}
    assert json.load(client.invoke(FunctionName=name, Payload=b'{"a": 1}')["Payload"]) == {"a": 1}
    # Left out of an update, it stays.
    assert client.update_function_configuration(FunctionName=name, Timeout=9)["SnapStart"]["ApplyOn"] == ON["ApplyOn"]


def test_switching_it_on_is_a_change_to_publish(client: Any, name: str, create: Create) -> None:
    create(Publish=True)
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig=FAST)
    client.update_function_configuration(FunctionName=name, SnapStart=ON)
    assert client.publish_version(FunctionName=name)["Version"] == "2"
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2", WaiterConfig=FAST)
    listed = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["SnapStart"]["ApplyOn"] for version in listed] == [ON["ApplyOn"], "None", ON["ApplyOn"]]


@pytest.mark.slow
def test_provisioned_concurrency_excludes_it(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create(SnapStart=OFF, Publish=True)
    client.update_function_configuration(FunctionName=name, SnapStart=ON)
    client.publish_version(FunctionName=name)
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2", WaiterConfig=FAST)
    put = client.put_provisioned_concurrency_config
    answer = words("Provisioned Concurrency")
    assert refused(put, FunctionName=name, Qualifier="2", ProvisionedConcurrentExecutions=1) == answer
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert refused(put, FunctionName=name, Qualifier="live", ProvisionedConcurrentExecutions=1) == answer
    # An alias that has some leads nowhere that cannot have any.
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="1")
    put(FunctionName=name, Qualifier="live", ProvisionedConcurrentExecutions=1)
    assert refused(client.update_alias, FunctionName=name, Name="live", FunctionVersion="2") == answer
    client.delete_function(FunctionName=name)


def test_a_file_system_excludes_it() -> None:
    mounted = Settings(
        role=ROLE,
        runtime="python3.12",
        handler="app.handler",
        snap_start=True,
        file_systems=(FileSystem("arn:aws:elasticfilesystem:::access-point/fsap-1", "/mnt/files"),),
    )
    with pytest.raises(AwsError) as refusal:
        Eligibility().check(mounted)
    assert refusal.value.message == words("EFS")[2]


@pytest.mark.slow
def test_the_operator_may_let_every_python_have_it(start_region: Callable[..., Any], tmp_path: Path) -> None:
    config = tmp_path / "lambent.toml"
    config.write_text("[snap_start]\nevery_python = true\n")
    client = start_region("--config", str(config)).client("lambda")
    created = client.create_function(**definition("f", SnapStart=ON, Runtime="python3.10"))
    assert created["SnapStart"]["ApplyOn"] == ON["ApplyOn"]
    refused = Refusal(client)
    assert refused(client.create_function, **definition("g", SnapStart=ON, Runtime="nodejs22.x")) == words("nodejs22.x")


@pytest.mark.slow
def test_a_version_that_is_not_ready_is_not_invoked(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create(SnapStart=ON, Code={"ZipFile": zipped({"app.py": "import time\ntime.sleep(1)\nhandler = lambda *_: 1"})})
    client.publish_version(FunctionName=name)
    assert refused(client.invoke, FunctionName=name, Qualifier="1") == (
        409,
        "SnapStartNotReadyException",
        "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE.",
    )
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig=FAST)
    assert json.load(client.invoke(FunctionName=name, Qualifier="1")["Payload"]) == 1
