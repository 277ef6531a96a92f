"""The roles that functions are given: they exist, Lambda can assume them, and whoever hands them over may do so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from lambda_helpers import Refusal, definition

from tests.roles import ACCOUNT, ROLE, make_role, trust

NOT_ASSUMABLE = (
    400,
    "InvalidParameterValueException",
    "The role defined for the function cannot be assumed by Lambda.",
)
MISSING = f"arn:aws:iam::{ACCOUNT}:role/nobody"


@pytest.fixture(scope="module")
def iam(region: Any) -> Any:
    return region.client("iam")


def document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def test_a_role_that_does_not_exist_is_refused(client: Any, name: str, refused: Refusal) -> None:
    assert refused(client.create_function, **definition(name, Role=MISSING)) == NOT_ASSUMABLE
    assert refused(client.get_function, FunctionName=name)[0] == 404


@pytest.mark.parametrize(
    ("number", "policy"),
    list(
        enumerate(
            (
                trust("apigateway.amazonaws.com"),
                document(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, Action="sts:AssumeRole"),
                document(Principal={"Service": "lambda.amazonaws.com"}, Action="sts:TagSession"),
                document(
                    Principal={"Service": "lambda.amazonaws.com"},
                    Action="sts:AssumeRole",
                    Condition={"StringEquals": {"aws:SourceAccount": "111111111111"}},
                ),
                json.dumps(
                    {
                        "Version": "2012-10-17",
                        "Statement": [
                            json.loads(trust("lambda.amazonaws.com"))["Statement"][0],
                            {
                                "Effect": "Deny",
                                "Principal": {"Service": "lambda.amazonaws.com"},
                                "Action": "sts:AssumeRole",
                            },
                        ],
                    }
                ),
            )
        )
    ),
)
def test_a_role_that_does_not_trust_lambda_is_refused(
    client: Any, iam: Any, name: str, refused: Refusal, number: int, policy: str
) -> None:
    role = iam.create_role(RoleName=f"distrusts-{number}", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    assert refused(client.create_function, **definition(name, Role=role)) == NOT_ASSUMABLE


def test_a_role_that_trusts_lambda_among_others_is_taken(client: Any, iam: Any, name: str) -> None:
    policy = trust("events.amazonaws.com", "lambda.amazonaws.com")
    role = iam.create_role(RoleName="trusts", Path="/team/", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    assert (
        client.create_function(**definition(name, Role=role))["Role"]
        == role
        == f"arn:aws:iam::{ACCOUNT}:role/team/trusts"
    )


def test_an_update_asks_the_same_of_its_role(
    client: Any, iam: Any, region: Any, name: str, create: Callable[..., Any], refused: Refusal
) -> None:
    create()
    update = client.update_function_configuration
    assert refused(update, FunctionName=name, Role=MISSING) == NOT_ASSUMABLE
    assert client.get_function_configuration(FunctionName=name)["Role"] == ROLE
    role = make_role(region, "next")
    assert update(FunctionName=name, Role=role)["Role"] == role
    # What Lambda can assume no more, a function keeps until it is given another one.
    iam.update_assume_role_policy(RoleName="next", PolicyDocument=trust("events.amazonaws.com"))
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400})
    assert update(FunctionName=name, Description="other")["Role"] == role
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400})
    assert refused(update, FunctionName=name, Role=role) == NOT_ASSUMABLE


def test_a_function_that_is_not_there_is_missed_before_its_role(client: Any, refused: Refusal) -> None:
    assert refused(client.update_function_configuration, FunctionName="nowhere", Role=MISSING)[0] == 404


@pytest.mark.slow
def test_audit_lets_pass_what_it_logs(start_region: Callable[..., Any], name: str) -> None:
    region = start_region("--auth", "audit")
    assert region.client("lambda").create_function(**definition(name, Role=MISSING))["Role"] == MISSING
    assert f"lambda.amazonaws.com cannot assume {MISSING}" in region.log()


@pytest.mark.slow
def test_any_role_will_do_where_nobody_is_checked(start_region: Callable[..., Any], name: str) -> None:
    region = start_region("--auth", "off")
    client = region.client("lambda")
    assert client.create_function(**definition(name, Role=MISSING))["Role"] == MISSING
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 400})
    assert client.invoke(FunctionName=name, Payload=b"1")["Payload"].read() == b"1"
