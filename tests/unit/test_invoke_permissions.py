"""Who may invoke a function by its resource policies: services, anybody through a URL, principals of any account."""

from __future__ import annotations

from typing import Any

import pytest

from lambent.context import Caller
from lambent.ports import Asker
from lambent.services.lambda_.permissions.decisions import KNOWN_LIMIT, Decisions
from lambent.services.lambda_.permissions.domain import function_statement, with_statement, without_statement

ACCOUNT, OTHER = "000000000000", "111111111111"
KEY = (ACCOUNT, "us-east-1", "hello")
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:hello"
API = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:abc123"
GATEWAY = Asker("apigateway.amazonaws.com", source_arn=f"{API}/prod/GET/pets", source_account=ACCOUNT)
VISITOR = Asker("*", url_auth_type="NONE")


def caller(account: str, url_auth_type: str = "") -> Asker:
    arn = f"arn:aws:iam::{account}:user/ann"
    return Asker(arn, url_auth_type=url_auth_type, caller=Caller(account, arn, "AIDAANN", "AKIAANN"))


class Policies:
    """Decisions, filled as AddPermission and RemovePermission do."""

    def __init__(self) -> None:
        self.decisions = Decisions()
        self._policies: dict[str, Any] = {}

    def add(self, sid: str = "s1", qualifier: str = "$LATEST", **params: Any) -> None:
        resource = ARN if qualifier == "$LATEST" else f"{ARN}:{qualifier}"
        given = {"StatementId": sid, "Action": "lambda:InvokeFunction", "Principal": "*", **params}
        statement = function_statement(given, "us-east-1", resource)
        policy = self._policies[qualifier] = with_statement(self._policies.get(qualifier), statement)
        self.decisions.put(KEY, qualifier, policy)

    def remove(self, sid: str) -> None:
        policy = self._policies["$LATEST"] = without_statement(self._policies["$LATEST"], sid)
        assert policy is not None
        self.decisions.put(KEY, "$LATEST", policy)

    def allow(self, asker: Asker, arn: str = ARN) -> bool:
        return self.decisions.allows(arn, asker)


@pytest.fixture
def policies() -> Policies:
    return Policies()


@pytest.mark.parametrize(
    ("conditions", "allowed"),
    [
        ({}, True),
        ({"SourceArn": f"{API}/prod/GET/pets"}, True),
        ({"SourceArn": f"{API}/*/*/pets"}, True),
        ({"SourceArn": f"{API}/*"}, True),
        ({"SourceArn": f"{API}/prod/POST/pets"}, False),
        ({"SourceArn": f"arn:aws:execute-api:us-east-1:{OTHER}:abc123/*"}, False),
        ({"SourceArn": "arn:aws:execute-api:us-east-1:*:abc123/*"}, True),
        ({"SourceAccount": ACCOUNT}, True),
        ({"SourceAccount": OTHER}, False),
        ({"SourceArn": f"{API}/*", "SourceAccount": OTHER}, False),
        ({"EventSourceToken": "token"}, False),
        ({"PrincipalOrgID": "o-1234567890"}, False),
        ({"Action": "lambda:*"}, True),
        ({"Action": "lambda:GetFunction"}, False),
    ],
)
def test_a_service_may_invoke_as_far_as_the_conditions_reach(
    policies: Policies, conditions: dict[str, str], allowed: bool
) -> None:
    policies.add(Principal="apigateway.amazonaws.com", **conditions)
    assert policies.allow(GATEWAY) is allowed


def test_a_service_needs_a_statement_that_names_it(policies: Policies) -> None:
    assert not policies.allow(GATEWAY)
    policies.add(Principal="s3.amazonaws.com")
    assert not policies.allow(GATEWAY)
    policies.add("s2", Principal="apigateway.amazonaws.com")
    assert policies.allow(GATEWAY)


def test_visitors_of_a_url_need_both_permissions(policies: Policies) -> None:
    assert not policies.allow(VISITOR)
    policies.add("url", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
    assert not policies.allow(VISITOR)
    policies.add("function", InvokedViaFunctionUrl=True)
    assert policies.allow(VISITOR)
    # That lets nobody past the URL.
    assert not policies.allow(Asker("*"))
    policies.remove("url")
    assert not policies.allow(VISITOR)


def test_permissions_for_one_kind_of_url_are_none_for_the_other(policies: Policies) -> None:
    policies.add("url", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="AWS_IAM")
    policies.add("function", InvokedViaFunctionUrl=True)
    assert not policies.allow(VISITOR)
    assert policies.allow(caller(OTHER, "AWS_IAM"))


def test_the_own_account_needs_no_policy_and_others_do(policies: Policies) -> None:
    assert policies.allow(caller(ACCOUNT))
    assert policies.allow(caller(ACCOUNT, "AWS_IAM"))
    assert not policies.allow(caller(OTHER))
    policies.add(Principal=OTHER)
    assert policies.allow(caller(OTHER))
    assert policies.allow(caller(ACCOUNT))
    assert not policies.allow(caller("222222222222"))
    # Through a URL the other permission is missing.
    assert not policies.allow(caller(OTHER, "AWS_IAM"))
    policies.add("url", Principal=f"arn:aws:iam::{OTHER}:user/ann", Action="lambda:InvokeFunctionUrl")
    assert policies.allow(caller(OTHER, "AWS_IAM"))


def test_each_qualifier_asks_its_own_policy(policies: Policies) -> None:
    policies.add(Principal="apigateway.amazonaws.com")
    assert policies.allow(GATEWAY, f"{ARN}:$LATEST")
    assert not policies.allow(GATEWAY, f"{ARN}:live")
    policies.add(Principal="apigateway.amazonaws.com", qualifier="live")
    assert policies.allow(GATEWAY, f"{ARN}:live")
    policies.decisions.remove(KEY, "$LATEST")
    assert not policies.allow(GATEWAY)
    assert policies.allow(GATEWAY, f"{ARN}:live")
    policies.decisions.remove(KEY, None)
    assert not policies.allow(GATEWAY, f"{ARN}:live")


@pytest.mark.parametrize("arn", ["", "hello", "arn:aws:s3:::bucket", f"{ARN}2", ARN.replace("us-east-1", "eu-west-1")])
def test_what_is_no_function_of_the_policy_is_not_allowed(policies: Policies, arn: str) -> None:
    policies.add()
    assert not policies.allow(GATEWAY, arn)
    assert not policies.allow(caller(OTHER), arn)


def test_what_is_remembered_of_answers_is_bounded(policies: Policies) -> None:
    policies.add(Principal="apigateway.amazonaws.com")
    for number in range(KNOWN_LIMIT + 10):
        assert policies.allow(Asker("apigateway.amazonaws.com", source_arn=f"{API}/{number}"))
    assert repr(policies.decisions) == "<Decisions [policies of 1 functions, 10 known answers]>"
