"""Functions that call themselves or each other through the SDK are stopped, unless somebody allowed it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Region
from tests.end_to_end.test_sdk_in_functions import zipped
from tests.roles import make_role

pytestmark = pytest.mark.slow

SOURCE = """
import json, os
import boto3
client = boto3.client("lambda")
def handler(event, context):
    if event["left"] == 0:
        return {"hops": 1}
    event["left"] -= 1
    try:
        handed_on = {**event, "next": event["back"], "back": event["next"]}
        answer = client.invoke(FunctionName=event["next"], Payload=json.dumps(handed_on))
    except client.exceptions.RecursiveInvocationException as error:
        return {"hops": 1, "stopped": error.response}
    below = json.loads(answer["Payload"].read())
    return {**below, "hops": below["hops"] + 1}
"""
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}]}


@pytest.fixture(scope="module")
def make(region: Region) -> Callable[..., Any]:
    """Creates a function, unless it is there with its environments (each imports the SDK), and returns the client."""
    client = region.client("lambda")
    role = make_role(region, "caller")
    region.client("iam").put_role_policy(RoleName="caller", PolicyName="all", PolicyDocument=json.dumps(POLICY))

    made: set[str] = set()

    def create(name: str, again: bool = False) -> Any:
        if name in made and not again:
            return client
        made.add(name)
        client.create_function(
            FunctionName=name, Runtime="python3.12", Handler="app.handler", Role=role, Timeout=60, MemorySize=256,
            Code={"ZipFile": zipped({"app.py": SOURCE})},
        )  # fmt: skip
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
        return client

    return create


def run(client: Any, name: str, other: str, left: int) -> dict[str, Any]:
    event = {"left": left, "next": other, "back": name}
    answer: dict[str, Any] = json.loads(client.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"].read())
    return answer


def test_a_function_that_calls_itself_is_stopped_after_sixteen_rounds(make: Callable[..., Any]) -> None:
    client = make("ping")
    answer = run(client, "ping", "ping", 20)
    assert answer["hops"] == 16
    error = answer["stopped"]
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["Error"] == {
        "Code": "RecursiveInvocationException",
        "Message": "Lambda has detected your function being invoked in a recursive loop with other AWS resources and "
        "stopped your function's invocation.",
    }
    # A chain that is begun anew is none.
    assert run(client, "ping", "ping", 3) == {"hops": 4}


def test_a_loop_through_two_functions_is_seen_and_may_be_allowed(make: Callable[..., Any]) -> None:
    client = make("ping")
    make("pong")
    assert client.get_function_recursion_config(FunctionName="ping")["RecursiveLoop"] == "Terminate"
    assert run(client, "ping", "pong", 40)["hops"] == 32
    for name in ("ping", "pong"):
        answer = client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
        assert answer["RecursiveLoop"] == "Allow"
    assert client.get_function_recursion_config(FunctionName="ping")["RecursiveLoop"] == "Allow"
    assert run(client, "ping", "pong", 33) == {"hops": 34}


def test_the_setting_is_checked_and_goes_with_the_function(make: Callable[..., Any]) -> None:
    client = make("gone")
    with pytest.raises(client.exceptions.ClientError, match="enum value set"):
        client.put_function_recursion_config(FunctionName="gone", RecursiveLoop="Maybe")
    client.put_function_recursion_config(FunctionName="gone", RecursiveLoop="Allow")
    client.delete_function(FunctionName="gone")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_recursion_config(FunctionName="gone")
    make("gone", again=True)
    assert client.get_function_recursion_config(FunctionName="gone")["RecursiveLoop"] == "Terminate"
