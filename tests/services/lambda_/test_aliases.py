"""Aliases: what they say, where they lead calls, what of them is refused, and what happens while they move."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from lambda_helpers import Refusal, definition, zipped

from tests.roles import make_role

Create = Callable[..., dict[str, Any]]
FAST = {"Delay": 0, "MaxAttempts": 400}
STALE = (
    412,
    "PreconditionFailedException",
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
)


def telling(text: str) -> bytes:
    return zipped({"app.py": f"def handler(event, context):\n    return [{text!r}, context.invoked_function_arn]\n"})


@pytest.fixture
def arn(client: Any, name: str, create: Create) -> str:
    """Of this test's function, which has versions 1 and 2."""
    created: str = create(Code={"ZipFile": telling("one")}, Publish=True)["FunctionArn"]
    client.update_function_code(FunctionName=name, ZipFile=telling("two"), Publish=True)
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2", WaiterConfig=FAST)
    return created


def weights(**shares: float) -> dict[str, Any]:
    return {"AdditionalVersionWeights": {version.strip("v"): share for version, share in shares.items()}}


# ---- what an alias says ----


def test_an_alias_is_described_with_every_field(client: Any, name: str, arn: str) -> None:
    created = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert created.pop("ResponseMetadata")["HTTPStatusCode"] == 201
    revision = created["RevisionId"]
    assert created == {
        "AliasArn": f"{arn}:live",
        "Name": "live",
        "FunctionVersion": "1",
        "Description": "",
        "RevisionId": revision,
    }
    found = client.get_alias(FunctionName=name, Name="live")
    assert found.pop("ResponseMetadata")["HTTPStatusCode"] == 200
    assert found == created


def test_an_update_changes_what_is_given_and_always_the_revision(client: Any, name: str, arn: str) -> None:
    first = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="old")
    moved = client.update_alias(FunctionName=name, Name="live", FunctionVersion="2", RevisionId=first["RevisionId"])
    assert (moved["FunctionVersion"], moved["Description"]) == ("2", "old")
    shared = client.update_alias(FunctionName=name, Name="live", RoutingConfig=weights(v1=0.25), Description="new")
    assert (shared["FunctionVersion"], shared["Description"]) == ("2", "new")
    assert shared["RoutingConfig"] == weights(v1=0.25)
    kept = client.update_alias(FunctionName=name, Name="live")
    assert kept["RoutingConfig"] == weights(v1=0.25)
    ended = client.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
    assert "RoutingConfig" not in ended
    assert len({answer["RevisionId"] for answer in (first, moved, shared, kept, ended)}) == 5


def test_an_alias_may_lead_to_latest(client: Any, name: str, arn: str) -> None:
    client.create_alias(FunctionName=name, Name="dev", FunctionVersion="$LATEST")
    answer = client.invoke(FunctionName=name, Qualifier="dev")
    assert (answer["ExecutedVersion"], json.loads(answer["Payload"].read())) == ("$LATEST", ["two", f"{arn}:dev"])


def test_a_function_is_read_through_its_alias(client: Any, name: str, arn: str) -> None:
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    version = client.get_function_configuration(FunctionName=name, Qualifier="1")
    for found in (
        client.get_function(FunctionName=f"{name}:live")["Configuration"],
        client.get_function_configuration(FunctionName=name, Qualifier="live"),
    ):
        assert (found["FunctionArn"], found["Version"]) == (f"{arn}:live", "1")
        assert (found["CodeSha256"], found["RevisionId"]) == (version["CodeSha256"], version["RevisionId"])


def test_lists_of_aliases_are_paged_in_order_and_by_version(client: Any, name: str, arn: str) -> None:
    for number in range(6):
        client.create_alias(FunctionName=name, Name=f"a{number}", FunctionVersion="1" if number % 2 else "2")
    client.update_alias(FunctionName=name, Name="a4", RoutingConfig=weights(v1=0.5))

    def listed(**params: Any) -> list[str]:
        pages = client.get_paginator("list_aliases").paginate(FunctionName=name, **params)
        return [alias["Name"] for page in pages for alias in page["Aliases"]]

    assert listed() == ["a0", "a1", "a2", "a3", "a4", "a5"]
    assert listed(PaginationConfig={"PageSize": 2}) == listed()
    assert listed(FunctionVersion="1", PaginationConfig={"PageSize": 3}) == ["a1", "a3", "a4", "a5"]
    assert listed(FunctionVersion="7") == []


def test_a_deleted_alias_is_gone(client: Any, name: str, arn: str, refused: Refusal) -> None:
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert client.delete_alias(FunctionName=name, Name="live")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(client.invoke, FunctionName=name, Qualifier="live") == (
        404,
        "ResourceNotFoundException",
        f"Function not found: {arn}:live",
    )
    # The second time there is nothing to do.
    client.delete_alias(FunctionName=name, Name="live")
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="2")
    client.delete_function(FunctionName=name)
    assert refused(client.get_alias, FunctionName=name, Name="live")[:2] == (404, "ResourceNotFoundException")


# ---- refusals ----


def test_what_is_missing_is_named(client: Any, name: str, arn: str, refused: Refusal) -> None:
    alias = {"FunctionName": name, "Name": "live"}
    for call, params, message in (
        (client.get_alias, alias, f"Cannot find alias arn: {arn}:live"),
        (client.update_alias, alias, f"Alias not found: {arn}:live"),
        (client.create_alias, {**alias, "FunctionVersion": "3"}, f"Function not found: {arn}:3"),
        (
            client.create_alias,
            {**alias, "FunctionVersion": "1", "RoutingConfig": weights(v3=0.1)},
            f"Function not found: {arn}:3",
        ),
    ):
        assert refused(call, **params) == (404, "ResourceNotFoundException", message)
    missing = {"FunctionName": f"{name}-x", "Name": "live"}
    for call, params in (
        (client.get_alias, missing),
        (client.update_alias, missing),
        (client.delete_alias, missing),
        (client.list_aliases, {"FunctionName": f"{name}-x"}),
    ):
        assert refused(call, **params) == (404, "ResourceNotFoundException", f"Function not found: {arn}-x")


def test_a_name_is_given_once(client: Any, name: str, arn: str, refused: Refusal) -> None:
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert refused(client.create_alias, FunctionName=name, Name="live", FunctionVersion="2") == (
        409,
        "ResourceConflictException",
        f"Alias already exists: {arn}:live",
    )


def test_a_name_cannot_be_a_number(client: Any, name: str, arn: str, refused: Refusal) -> None:
    status, code, message = refused(client.create_alias, FunctionName=name, Name="12", FunctionVersion="1")
    assert (status, code) == (400, "ValidationException")
    assert message.startswith("1 validation error detected: Value '12' at 'name' failed to satisfy constraint: ")


ROUTINGS: dict[str, tuple[str, dict[str, Any], str]] = {
    "two more versions": (
        "1",
        weights(v2=0.1, v3=0.1),
        "Number of items in AdditionalVersionWeights cannot be greater than 1",
    ),
    "its own version": (
        "1",
        weights(v1=0.1),
        "Invalid function version 1. Function version 1 is already included in routing configuration.",
    ),
    "beside $LATEST": (
        "$LATEST",
        weights(v1=0.1),
        "$LATEST is not supported for an alias pointing to more than 1 version",
    ),
}


@pytest.mark.parametrize("case", ROUTINGS)
def test_weights_that_cannot_be_are_refused(client: Any, name: str, arn: str, refused: Refusal, case: str) -> None:
    version, routing, message = ROUTINGS[case]
    params = {"FunctionName": name, "Name": "live"}
    expected = (400, "InvalidParameterValueException", message)
    assert refused(client.create_alias, **params, FunctionVersion=version, RoutingConfig=routing) == expected
    client.create_alias(**params, FunctionVersion=version)
    assert refused(client.update_alias, **params, RoutingConfig=routing) == expected


def test_an_alias_cannot_move_to_the_version_that_it_has_weights_for(
    client: Any, name: str, arn: str, refused: Refusal
) -> None:
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=weights(v2=0.5))
    status, _code, message = refused(client.update_alias, FunctionName=name, Name="live", FunctionVersion="2")
    assert (status, message.split(".")[0]) == (400, "Invalid function version 2")
    assert client.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == "1"


def test_versions_of_one_alias_have_one_role(region: Any, name: str, arn: str, refused: Refusal) -> None:
    client = region.client("lambda")
    client.update_function_configuration(FunctionName=name, Role=make_role(region, "another"))
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="3")
    assert refused(client.update_alias, FunctionName=name, Name="live", RoutingConfig=weights(v2=0.5)) == (
        400,
        "InvalidParameterValueException",
        "Specified versions must be associated with the same execution role",
    )


def test_weights_out_of_range_and_for_no_number_are_refused(client: Any, name: str, arn: str, refused: Refusal) -> None:
    for shares, echo, demand in (
        (
            {"2": 1.5},
            "{2=1.5}",
            "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, ",
        ),
        ({"x": 0.5}, "{x=0.5}", "Map keys must satisfy constraint: [Member must have length less than or equal to "),
    ):
        routing = {"AdditionalVersionWeights": shares}
        alias = {"FunctionName": name, "Name": "live", "FunctionVersion": "1", "RoutingConfig": routing}
        status, code, message = refused(client.create_alias, **alias)
        assert (status, code) == (400, "ValidationException")
        where = "1 validation error detected: Value '{}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
        assert message.startswith(f"{where.format(echo)}constraint: {demand}")


def test_an_update_refuses_another_revision_than_the_caller_knows(
    client: Any, name: str, arn: str, refused: Refusal
) -> None:
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    alias = {"FunctionName": name, "Name": "live"}
    assert refused(client.update_alias, **alias, FunctionVersion="2", RevisionId="0") == STALE
    assert client.get_alias(**alias)["FunctionVersion"] == "1"


# ---- where calls go ----


def test_calls_go_where_the_alias_leads(client: Any, name: str, arn: str) -> None:
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")

    def ask() -> tuple[str, list[str]]:
        answer = client.invoke(FunctionName=name, Qualifier="live")
        return answer["ExecutedVersion"], json.loads(answer["Payload"].read())

    assert ask() == ("1", ["one", f"{arn}:live"])
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert ask() == ("2", ["two", f"{arn}:live"])


def test_weights_of_nothing_and_of_everything_are_kept_to(client: Any, name: str, arn: str) -> None:
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=weights(v2=0.0))
    for share, version in ((0.0, "1"), (1.0, "2")):
        client.update_alias(FunctionName=name, Name="live", RoutingConfig=weights(v2=share))
        executed = {client.invoke(FunctionName=name, Qualifier="live")["ExecutedVersion"] for _ in range(20)}
        assert executed == {version}


@pytest.mark.slow
def test_a_weight_is_the_share_of_the_calls(client: Any, name: str, arn: str) -> None:
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=weights(v2=0.5))
    executed = Counter(client.invoke(FunctionName=name, Qualifier="live")["ExecutedVersion"] for _ in range(400))
    # Five standard deviations.
    assert executed.keys() == {"1", "2"}
    assert 150 < executed["2"] < 250


@pytest.mark.slow
def test_aliases_outlive_a_restart(region: Any, client: Any, name: str, arn: str) -> None:
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig=weights(v1=1.0))
    before = client.get_alias(FunctionName=name, Name="live")
    region.kill()
    region.start()
    client = region.client("lambda")
    after = client.get_alias(FunctionName=name, Name="live")
    assert {**after, "ResponseMetadata": None} == {**before, "ResponseMetadata": None}
    assert client.invoke(FunctionName=name, Qualifier="live")["ExecutedVersion"] == "1"


@pytest.mark.slow
def test_moving_an_alias_under_load_loses_no_request(region: Any) -> None:
    """200 requests a second for five seconds, while the alias moves to and fro and $LATEST changes too."""
    client = region.client("lambda")
    client.create_function(**definition("moving", Code={"ZipFile": telling("1")}, Publish=True))
    client.get_waiter("function_active_v2").wait(FunctionName="moving", WaiterConfig=FAST)
    client.update_function_code(FunctionName="moving", ZipFile=telling("2"), Publish=True)
    client.create_alias(FunctionName="moving", Name="live", FunctionVersion="1")
    threads, seconds, each = 8, 5.0, 25
    outcomes: Counter[str] = Counter()
    lock = threading.Lock()
    begin = time.monotonic()

    def load(offset: float) -> None:
        own = region.client("lambda", region_name=region.name)
        seen: Counter[str] = Counter()
        for number in range(int(seconds * each)):
            time.sleep(max(0.0, begin + offset + number / each - time.monotonic()))  # the pace that the load has
            try:
                answer = own.invoke(FunctionName="moving", Qualifier="live")
                text = json.loads(answer["Payload"].read())[0]
                seen[text if text == answer["ExecutedVersion"] else f"{text} said {answer['ExecutedVersion']}"] += 1
            except Exception as error:  # every kind of it is counted and shown below
                seen[repr(error)] += 1
        with lock:
            outcomes.update(seen)

    workers = [threading.Thread(target=load, args=(number / each / threads,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    moves = 0
    while any(worker.is_alive() for worker in workers):
        client.update_alias(FunctionName="moving", Name="live", FunctionVersion="12"[moves % 2])
        if moves % 10 == 0:
            client.update_function_configuration(FunctionName="moving", Timeout=10 + moves % 50)
        moves += 1
        workers[0].join(0.05)
    assert outcomes.keys() == {"1", "2"}
    assert outcomes.total() == threads * int(seconds * each)
    assert moves > 20
