"""UpdateFunctionCode and UpdateFunctionConfiguration over boto3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lambda_helpers import Refusal, definition, zipped

Create = Callable[..., dict[str, Any]]
PRECONDITION = (
    412,
    "PreconditionFailedException",
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
)


@pytest.fixture
def settled(client: Any, name: str) -> Callable[[], dict[str, Any]]:
    def wait() -> dict[str, Any]:
        client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 200})
        described: dict[str, Any] = client.get_function_configuration(FunctionName=name)
        return described

    return wait


def test_new_code_changes_hash_size_and_revision_alone(
    client: Any, name: str, create: Create, settled: Callable[[], dict[str, Any]]
) -> None:
    create(Environment={"Variables": {"KEPT": "yes"}}, Timeout=7)
    before = settled()
    code = zipped({"app.py": "# two"})
    update = client.update_function_code(FunctionName=name, ZipFile=code)
    assert (update["State"], update["LastUpdateStatus"]) == ("Active", "InProgress")
    assert update["LastUpdateStatusReasonCode"] == "Creating"
    after = settled()
    changed = {key for key in before if key != "ResponseMetadata" and before[key] != after[key]}
    assert changed == {"CodeSha256", "CodeSize", "RevisionId", "LastModified"}
    assert after["RevisionId"] != update["RevisionId"]


def test_an_update_changes_what_it_names_and_keeps_the_rest(
    client: Any, name: str, create: Create, settled: Callable[[], dict[str, Any]]
) -> None:
    create(Timeout=7, MemorySize=256, Environment={"Variables": {"ONE": "1", "TWO": "2"}}, Description="old")
    client.update_function_configuration(
        FunctionName=name, Timeout=9, Environment={"Variables": {"TWO": "3"}}, EphemeralStorage={"Size": 600}
    )
    after = settled()
    assert (after["Timeout"], after["MemorySize"], after["Description"]) == (9, 256, "old")
    assert after["Environment"] == {"Variables": {"TWO": "3"}}
    assert after["EphemeralStorage"] == {"Size": 600}


def test_empty_variables_take_the_environment_away(
    client: Any, name: str, create: Create, settled: Callable[[], dict[str, Any]]
) -> None:
    create(Environment={"Variables": {"ONE": "1"}})
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {}}, Description="")
    assert "Environment" not in settled()


def test_log_levels_go_with_the_json_format(
    client: Any, name: str, create: Create, settled: Callable[[], dict[str, Any]]
) -> None:
    create(LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "LogGroup": "/own"})
    client.update_function_configuration(FunctionName=name, LoggingConfig={"LogFormat": "Text"})
    assert settled()["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/own"}


def test_the_architecture_changes_with_the_code(
    client: Any, name: str, create: Create, settled: Callable[[], dict[str, Any]]
) -> None:
    create()
    client.update_function_code(FunctionName=name, ZipFile=zipped(), Architectures=["arm64"])
    assert settled()["Architectures"] == ["arm64"]
    client.update_function_code(FunctionName=name, ZipFile=zipped())
    assert settled()["Architectures"] == ["arm64"]


def test_a_dry_run_tells_the_hash_and_changes_nothing(client: Any, name: str, create: Create) -> None:
    create()
    before = client.get_function_configuration(FunctionName=name)
    code = zipped({"app.py": "# dry"})
    dry = client.update_function_code(FunctionName=name, ZipFile=code, DryRun=True)
    after = client.get_function_configuration(FunctionName=name)
    del before["ResponseMetadata"], after["ResponseMetadata"]
    assert before == after
    assert (dry["CodeSize"], dry["CodeSha256"] != before["CodeSha256"]) == (len(code), True)


def test_a_dry_run_shows_the_architecture_that_it_would_have(client: Any, name: str, create: Create) -> None:
    create()
    dry = client.update_function_code(FunctionName=name, ZipFile=zipped(), Architectures=["arm64"], DryRun=True)
    assert dry["Architectures"] == ["arm64"]
    assert client.get_function_configuration(FunctionName=name)["Architectures"] == ["x86_64"]


def test_a_dry_run_still_refuses_what_is_not_a_zip(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create()
    assert refused(client.update_function_code, FunctionName=name, ZipFile=b"x", DryRun=True)[0] == 400


def test_a_revision_guards_against_lost_updates(
    client: Any, name: str, create: Create, refused: Refusal, settled: Callable[[], dict[str, Any]]
) -> None:
    stale = create()["RevisionId"]
    for call, change in (
        (client.update_function_configuration, {"Timeout": 5}),
        (client.update_function_code, {"ZipFile": zipped({"a": "b"})}),
        (client.update_function_code, {"ZipFile": zipped({"a": "b"}), "DryRun": True}),
    ):
        assert refused(call, FunctionName=name, RevisionId=stale, **change) == PRECONDITION
    client.update_function_configuration(FunctionName=name, Timeout=5, RevisionId=settled()["RevisionId"])
    assert settled()["Timeout"] == 5


def test_updates_in_a_row_need_no_waiter(client: Any, name: str) -> None:
    client.create_function(**definition(name))
    for timeout in range(1, 20):
        client.update_function_configuration(FunctionName=name, Timeout=timeout)
    assert client.get_function_configuration(FunctionName=name)["Timeout"] == 19


@pytest.mark.parametrize("operation", ["update_function_code", "update_function_configuration"])
def test_updates_of_an_unknown_function_are_not_found(client: Any, name: str, refused: Refusal, operation: str) -> None:
    change = {"ZipFile": zipped()} if operation == "update_function_code" else {"Timeout": 4}
    assert refused(getattr(client, operation), FunctionName=name, **change) == (
        404,
        "ResourceNotFoundException",
        f"Function not found: arn:aws:lambda:us-east-1:000000000000:function:{name}",
    )


def test_a_refused_update_changes_nothing(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create()
    before = client.get_function_configuration(FunctionName=name)
    assert refused(client.update_function_configuration, FunctionName=name, Timeout=5, MemorySize=20_000)[0] == 400
    assert refused(client.update_function_code, FunctionName=name, ZipFile=b"x")[0] == 400
    assert refused(client.update_function_code, FunctionName=name, ImageUri="x:1")[2] == (
        "Please don't provide ImageUri when updating a function with packageType Zip."
    )
    after = client.get_function_configuration(FunctionName=name)
    assert before["RevisionId"] == after["RevisionId"]
