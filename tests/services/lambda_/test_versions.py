"""Published versions: their numbers, what stays the same under them, how they are read, invoked, listed and deleted."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from lambda_helpers import Refusal, definition, zipped

from lambent.services.lambda_.names import is_alias, version_number

Create = Callable[..., dict[str, Any]]
FAST = {"Delay": 0, "MaxAttempts": 400}

#: Says which version it is, and how often this environment was asked.
TELLING = """
import os
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return {"text": %r, "version": context.function_version, "variable": os.environ["AWS_LAMBDA_FUNCTION_VERSION"],
            "arn": context.invoked_function_arn, "stream": context.log_stream_name, "calls": calls}
"""


def code(text: str) -> bytes:
    return zipped({"app.py": TELLING % text})


def settle(client: Any, name: str, qualifier: str | None = None) -> None:
    params = {"FunctionName": name, **({"Qualifier": qualifier} if qualifier else {})}
    waiter = "published_version_active" if qualifier else "function_updated_v2"
    client.get_waiter(waiter).wait(**params, WaiterConfig=FAST)


def ask(client: Any, name: str, qualifier: str | None = None) -> dict[str, Any]:
    answer = client.invoke(FunctionName=name, **({"Qualifier": qualifier} if qualifier else {}))
    result: dict[str, Any] = json.loads(answer["Payload"].read())
    return {**result, "executed": answer["ExecutedVersion"]}


def versions(client: Any, name: str, **params: Any) -> list[str]:
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name, **params)
    return [version["Version"] for page in pages for version in page["Versions"]]


# ---- publishing ----


def test_a_version_is_pending_first_and_described_like_the_function_it_was(
    client: Any, name: str, create: Create
) -> None:
    latest = create(Description="of $LATEST", Environment={"Variables": {"KEY": "value"}}, Timeout=7)
    published = client.publish_version(FunctionName=name)
    assert published["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (published["Version"], published["FunctionArn"]) == ("1", f"{latest['FunctionArn']}:1")
    assert (published["State"], published["StateReasonCode"]) == ("Pending", "Creating")
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig=FAST)
    active = client.get_function_configuration(FunctionName=name, Qualifier="1")
    assert (active["State"], active["LastUpdateStatus"]) == ("Active", "Successful")
    same = ("CodeSha256", "Environment", "Timeout", "Description", "Role", "Handler", "LoggingConfig", "MemorySize")
    assert {key: active[key] for key in same} == {key: latest[key] for key in same}


def test_publishing_again_gives_the_same_version_until_something_changes(
    client: Any, name: str, create: Create
) -> None:
    create(Description="old")
    first = client.publish_version(FunctionName=name, Description="the first")
    assert first["Description"] == "the first"
    again = client.publish_version(FunctionName=name, Description="another")
    assert (again["Version"], again["Description"]) == ("1", "the first")
    client.update_function_configuration(FunctionName=name, Description="new")
    second = client.publish_version(FunctionName=name)
    assert (second["Version"], second["Description"]) == ("2", "new")
    client.update_function_code(FunctionName=name, ZipFile=code("x"))
    assert client.publish_version(FunctionName=name)["Version"] == "3"
    # Back to what version 2 was, but not to what was published last.
    client.update_function_code(FunctionName=name, ZipFile=zipped())
    assert client.publish_version(FunctionName=name)["Version"] == "4"


def test_publishing_changes_the_revision_of_latest_only_where_a_version_is_new(
    client: Any, name: str, create: Create
) -> None:
    create()
    before = client.get_function_configuration(FunctionName=name)["RevisionId"]
    client.publish_version(FunctionName=name, RevisionId=before)
    settle(client, name, "1")
    after = client.get_function_configuration(FunctionName=name)["RevisionId"]
    assert after != before
    client.publish_version(FunctionName=name)
    assert client.get_function_configuration(FunctionName=name)["RevisionId"] == after
    assert client.get_function_configuration(FunctionName=name, Qualifier="1")["RevisionId"] not in (before, after)


def test_what_is_set_on_a_version_is_no_change_to_publish(client: Any, name: str, create: Create) -> None:
    create(Publish=True)
    client.put_runtime_management_config(FunctionName=name, Qualifier="1", UpdateRuntimeOn="FunctionUpdate")
    client.tag_resource(
        Resource=client.get_function(FunctionName=name)["Configuration"]["FunctionArn"], Tags={"a": "b"}
    )
    assert client.publish_version(FunctionName=name)["Version"] == "1"


def test_publishing_refuses_another_code_or_revision_than_the_caller_knows(
    client: Any, name: str, create: Create, refused: Refusal
) -> None:
    sha = create()["CodeSha256"]
    other = base64.b64encode(b"x" * 32).decode()
    assert refused(client.publish_version, FunctionName=name, CodeSha256=other) == (
        400,
        "InvalidParameterValueException",
        f"CodeSHA256 ({other}) is different from current CodeSHA256 in $LATEST ({sha}). "
        "Please try again with the CodeSHA256 in $LATEST.",
    )
    assert refused(client.publish_version, FunctionName=name, RevisionId="0") == (
        412,
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
    )
    assert versions(client, name) == ["$LATEST"]
    assert client.publish_version(FunctionName=name, CodeSha256=sha)["Version"] == "1"


def test_publishing_needs_a_function_and_takes_no_capacity_provider(
    client: Any, name: str, create: Create, refused: Refusal
) -> None:
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    missing = (404, "ResourceNotFoundException", f"Function not found: {arn}")
    assert refused(client.publish_version, FunctionName=name) == missing
    create()
    status, error, message = refused(client.publish_version, FunctionName=name, PublishTo="LATEST_PUBLISHED")
    assert (status, error) == (400, "InvalidParameterValueException")
    assert message.startswith("PublishTo is not supported")


def test_creating_with_publish_makes_version_1_at_once(client: Any, name: str, create: Create) -> None:
    created = create(Publish=True)
    assert created["Version"] == "1"
    assert created["FunctionArn"].endswith(f":function:{name}")
    settle(client, name, "1")
    assert versions(client, name) == ["$LATEST", "1"]
    assert client.publish_version(FunctionName=name)["Version"] == "1"


def test_updating_code_with_publish_gives_the_new_version(client: Any, name: str, create: Create) -> None:
    create()
    updated = client.update_function_code(FunctionName=name, ZipFile=code("one"), Publish=True)
    assert updated["Version"] == "1"
    assert updated["FunctionArn"].endswith(f":function:{name}:1")
    settle(client, name)
    # The same code again is no new version.
    assert client.update_function_code(FunctionName=name, ZipFile=code("one"), Publish=True)["Version"] == "1"
    assert client.update_function_code(FunctionName=name, ZipFile=code("two"), Publish=True)["Version"] == "2"


# ---- what a version is ----


def test_a_version_keeps_code_and_configuration_whatever_becomes_of_latest(
    client: Any, name: str, create: Create
) -> None:
    create(Code={"ZipFile": code("one")}, Publish=True)
    old = client.get_function(FunctionName=name, Qualifier="1")
    client.update_function_code(FunctionName=name, ZipFile=code("two"))
    client.update_function_configuration(FunctionName=name, Timeout=9, Environment={"Variables": {"KEY": "b"}})
    settle(client, name)
    kept = client.get_function(FunctionName=name, Qualifier="1")["Configuration"]
    for field in ("CodeSha256", "Timeout", "LastModified", "Version"):
        assert kept[field] == old["Configuration"][field]
    assert "Environment" not in kept
    assert ask(client, name, "1")["text"] == "one"
    assert ask(client, name)["text"] == "two"


def test_a_version_runs_as_itself(client: Any, name: str, create: Create) -> None:
    arn = create(Code={"ZipFile": code("it")}, Publish=True)["FunctionArn"]
    answer = ask(client, name, "1")
    assert (answer["version"], answer["variable"], answer["executed"]) == ("1", "1", "1")
    assert answer["arn"] == f"{arn}:1"
    assert "/[1]" in answer["stream"]
    latest = ask(client, f"{name}:$LATEST")
    assert (latest["version"], latest["arn"]) == ("$LATEST", f"{arn}:$LATEST")
    assert "/[$LATEST]" in latest["stream"]
    assert ask(client, f"{arn}:1")["executed"] == "1"


def test_an_update_of_latest_leaves_environments_of_versions_warm(client: Any, name: str, create: Create) -> None:
    create(Code={"ZipFile": code("it")}, Publish=True)
    assert [ask(client, name, "1")["calls"], ask(client, name)["calls"]] == [1, 1]
    client.update_function_configuration(FunctionName=name, Timeout=5)
    assert [ask(client, name, "1")["calls"], ask(client, name)["calls"]] == [2, 1]


def test_versions_show_tags_and_concurrency_of_their_function(client: Any, name: str, create: Create) -> None:
    create(Publish=True, Tags={"team": "a"})
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    version = client.get_function(FunctionName=name, Qualifier="1")
    assert (version["Tags"], version["Concurrency"]) == ({"team": "a"}, {"ReservedConcurrentExecutions": 0})
    # One reservation for all versions: nothing at all may run.
    with pytest.raises(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName=name, Qualifier="1")
    client.delete_function_concurrency(FunctionName=name)
    assert client.invoke(FunctionName=name, Qualifier="1")["ExecutedVersion"] == "1"


def test_only_latest_can_be_changed(client: Any, name: str, create: Create, refused: Refusal) -> None:
    arn = create(Publish=True)["FunctionArn"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    only_latest = (
        400,
        "InvalidParameterValueException",
        "Current operation does not support versions other than $LATEST. "
        "Please set the version to $LATEST or do not set a version in your request.",
    )
    for function in (f"{name}:1", f"{arn}:live"):
        assert refused(client.update_function_configuration, FunctionName=function, Timeout=4) == only_latest
        assert refused(client.update_function_code, FunctionName=function, ZipFile=zipped()) == only_latest
        assert refused(client.publish_version, FunctionName=function) == only_latest
    assert client.update_function_configuration(FunctionName=f"{name}:$LATEST", Timeout=4)["Timeout"] == 4


@pytest.mark.parametrize("qualifier", ["2", "01", "99999999999999999999", "nobody"])
def test_a_qualifier_that_is_nothing_is_not_found(
    client: Any, name: str, create: Create, refused: Refusal, qualifier: str
) -> None:
    arn = create(Publish=True)["FunctionArn"]
    for call in (client.get_function, client.get_function_configuration, client.invoke):
        missing = (404, "ResourceNotFoundException", f"Function not found: {arn}:{qualifier}")
        assert refused(call, FunctionName=name, Qualifier=qualifier) == missing


def test_which_qualifiers_are_numbers_and_which_can_be_aliases() -> None:
    assert [version_number(text) for text in ("7", "07", "0", "$LATEST", "live", "７", "9" * 19)] == [7, *[0] * 6]
    assert [is_alias(text) for text in (None, "7", "07", "$LATEST", "live", "7up")] == [False] * 4 + [True] * 2


# ---- lists ----


def test_lists_page_through_versions_latest_first(client: Any, name: str, create: Create, refused: Refusal) -> None:
    create(Publish=True)
    for timeout in range(10, 20):
        client.update_function_configuration(FunctionName=name, Timeout=timeout)
        client.publish_version(FunctionName=name)
    every = ["$LATEST", *map(str, range(1, 12))]
    assert versions(client, name) == every
    assert versions(client, name, PaginationConfig={"PageSize": 5}) == every
    page = client.list_versions_by_function(FunctionName=name, MaxItems=1)
    assert page["Versions"][0]["FunctionArn"].endswith(f":{name}:$LATEST")
    entry = client.list_versions_by_function(FunctionName=name, MaxItems=1, Marker=page["NextMarker"])["Versions"][0]
    assert entry["FunctionArn"].endswith(f":{name}:1")
    assert not entry.keys() & {"State", "LastUpdateStatus", "RuntimeVersionConfig"}
    for marker in ("!", base64.b64encode(b"x").decode()):
        refusal = refused(client.list_versions_by_function, FunctionName=name, Marker=marker)
        assert refusal[:2] == (400, "InvalidParameterValueException")


def test_list_functions_shows_all_versions_where_asked(region: Any) -> None:
    client = region.client("lambda", region_name="eu-west-1")
    for name in ("b", "a", "a-b"):
        client.create_function(**definition(name, Publish=name != "a-b"))
    client.get_waiter("function_updated_v2").wait(FunctionName="a", WaiterConfig=FAST)
    client.update_function_code(FunctionName="a", ZipFile=code("two"), Publish=True)
    expected = ["a:$LATEST", "a:1", "a:2", "a-b:$LATEST", "b:$LATEST", "b:1"]
    for size in (1, 2, 4, 50):
        pages = client.get_paginator("list_functions").paginate(
            FunctionVersion="ALL", PaginationConfig={"PageSize": size}
        )
        found = [entry["FunctionArn"].split(":", 6)[6] for page in pages for entry in page["Functions"]]
        assert found == expected
    assert [entry["FunctionName"] for entry in client.list_functions()["Functions"]] == ["a", "a-b", "b"]


# ---- the end of versions ----


def test_a_deleted_version_is_gone_and_its_number_is_never_given_again(
    client: Any, name: str, create: Create, refused: Refusal
) -> None:
    arn = create(Publish=True)["FunctionArn"]
    client.update_function_configuration(FunctionName=name, Timeout=8)
    client.publish_version(FunctionName=name)
    assert client.delete_function(FunctionName=name, Qualifier="2")["ResponseMetadata"]["HTTPStatusCode"] == 204
    missing = (404, "ResourceNotFoundException", f"Function not found: {arn}:2")
    assert refused(client.invoke, FunctionName=name, Qualifier="2") == missing
    assert versions(client, name) == ["$LATEST", "1"]
    assert client.publish_version(FunctionName=name)["Version"] == "3"
    # The second time there is nothing to do.
    client.delete_function(FunctionName=f"{name}:2")
    client.delete_function(FunctionName=name)
    assert refused(client.get_function, FunctionName=name, Qualifier="1")[0] == 404
    assert create(Publish=True)["Version"] == "4"
    assert refused(client.get_function, FunctionName=name, Qualifier="1")[0] == 404


def test_deleting_refuses_latest_aliases_and_versions_that_aliases_lead_to(
    client: Any, name: str, create: Create, refused: Refusal
) -> None:
    create(Publish=True)
    client.update_function_code(FunctionName=name, ZipFile=code("two"), Publish=True)
    routing = {"AdditionalVersionWeights": {"1": 0.5}}
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig=routing)
    client.create_alias(FunctionName=name, Name="blue", FunctionVersion="1")
    for qualifier, status, error, message in (
        ("$LATEST", 400, "InvalidParameterValue", "$LATEST version cannot be deleted without deleting the function."),
        ("live", 400, "InvalidParameterValue", "Deletion of aliases is not currently supported."),
        ("1", 409, "ResourceConflict", _referenced("blue, live")),
        ("2", 409, "ResourceConflict", _referenced("live")),
    ):
        refusal = refused(client.delete_function, FunctionName=name, Qualifier=qualifier)
        assert refusal == (status, f"{error}Exception", message)
    assert versions(client, name) == ["$LATEST", "1", "2"]
    client.delete_alias(FunctionName=name, Name="live")
    client.delete_function(FunctionName=name, Qualifier="2")
    assert versions(client, name) == ["$LATEST", "1"]


def _referenced(aliases: str) -> str:
    return f"Unable to delete version because the following aliases reference it: [{aliases}]"


@pytest.mark.slow
def test_versions_and_their_packages_outlive_a_restart(region: Any, client: Any, name: str, create: Create) -> None:
    create(Code={"ZipFile": code("one")}, Publish=True)
    client.update_function_code(FunctionName=name, ZipFile=code("two"))
    settle(client, name)
    # A start removes packages that nothing uses.
    region.restart()
    client = region.client("lambda")
    assert [ask(client, name, "1")["text"], ask(client, name)["text"]] == ["one", "two"]
    assert client.publish_version(FunctionName=name)["Version"] == "2"
