"""What functions may do is what their roles may: write logs, call the region; decided anew when policies change."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.http_api_support import make_function
from tests.roles import ACCOUNT, BASIC, LOGGING, allowing, make_role, trust

pytestmark = pytest.mark.slow

SPEAKS = """
def handler(event, context):
    print("said", event)
    return event
"""

#: Calls what its event names, with its own credentials.
CALLS = """
import boto3

def handler(event, context):
    client = boto3.client(event["service"])
    try:
        answer = getattr(client, event["call"])(**event.get("parameters", {}))
    except client.exceptions.ClientError as error:
        return {"refused": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
    answer.pop("ResponseMetadata")
    return {"answer": {key: value for key, value in answer.items() if isinstance(value, (str, int))}}
"""


class Speaker:
    """A function that prints what it is told, and its log."""

    def __init__(self, region: Any, name: str, role: str, **settings: Any) -> None:
        self._client, self._logs = region.client("lambda"), region.client("logs")
        self.name, self.group = name, settings.pop("group", f"/aws/lambda/{name}")
        make_function(region, name, SPEAKS, allow=False, role=role, **settings)

    def says(self, text: str) -> str:
        """The tail of the log in the answer."""
        answer = self._client.invoke(FunctionName=self.name, Payload=json.dumps(text), LogType="Tail")
        assert json.loads(answer["Payload"].read()) == text
        return base64.b64decode(answer["LogResult"]).decode()

    def streams(self) -> list[str]:
        """Of groups that exist."""
        try:
            found = self._logs.describe_log_streams(logGroupName=self.group)["logStreams"]
        except self._logs.exceptions.ResourceNotFoundException:
            return []
        return [stream["logStreamName"] for stream in found]

    def logged(self) -> str:
        if not self.streams():
            return ""
        return "".join(event["message"] for event in self._logs.filter_log_events(logGroupName=self.group)["events"])


@pytest.fixture(scope="module")
def iam(region: Any) -> Any:
    return region.client("iam")


@pytest.fixture(scope="module")
def marker(region: Any) -> Callable[[], None]:
    """Waits until the log store has written whatever was said before: a function that may log says so."""
    speaker = Speaker(region, "marker", make_role(region, "marker"))
    numbers = itertools.count()

    def wait() -> None:
        word = f"now-{next(numbers)}."
        speaker.says(word)
        wait_until(lambda: word in speaker.logged())

    return wait


# ---- logs ----------------------------------------------------------------------------------------------------------


def test_a_function_whose_role_may_not_log_runs_without_one(region: Any, iam: Any, marker: Callable[[], None]) -> None:
    speaker = Speaker(region, "silent", make_role(region, "silent", inline=""))
    # The tail is the invocation's own, and no log.
    assert "said one" in speaker.says("one")
    marker()
    assert speaker.streams() == []

    # The same environment writes as soon as it may, and what comes then.
    iam.attach_role_policy(RoleName="silent", PolicyArn=BASIC)
    speaker.says("two")
    wait_until(lambda: "said two" in speaker.logged())
    assert "said one" not in speaker.logged()
    assert len(speaker.streams()) == 1

    iam.detach_role_policy(RoleName="silent", PolicyArn=BASIC)
    speaker.says("three")
    marker()
    assert "said three" not in speaker.logged()


@pytest.mark.parametrize("missing", ["CreateLogStream", "PutLogEvents"])
def test_both_actions_are_needed_to_write(region: Any, marker: Callable[[], None], missing: str) -> None:
    rest = [f"logs:{name}" for name in ("CreateLogGroup", "CreateLogStream", "PutLogEvents") if name != missing]
    speaker = Speaker(region, f"no{missing}", make_role(region, missing, inline=allowing(*rest)))
    speaker.says("something")
    marker()
    assert speaker.streams() == []


def test_a_role_that_may_make_no_group_writes_to_one_that_is_there(region: Any, marker: Callable[[], None]) -> None:
    may = allowing("logs:CreateLogStream", "logs:PutLogEvents")
    speaker = Speaker(region, "groupless", make_role(region, "groupless", inline=may))
    speaker.says("one")
    marker()
    assert speaker.streams() == []
    region.client("logs").create_log_group(logGroupName=speaker.group)
    speaker.says("two")
    wait_until(lambda: "said two" in speaker.logged())
    assert "said one" not in speaker.logged()


def test_a_policy_for_one_group_is_none_for_another(region: Any, marker: Callable[[], None]) -> None:
    own = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/lambda/bound:*"
    role = make_role(region, "bound", inline=allowing("logs:*", resource=own))
    bound = Speaker(region, "bound", role)
    astray = Speaker(region, "astray", role)
    bound.says("mine")
    astray.says("other")
    wait_until(lambda: "said mine" in bound.logged())
    marker()
    assert astray.streams() == []


def test_a_deleted_role_writes_no_logs(region: Any, iam: Any, marker: Callable[[], None]) -> None:
    speaker = Speaker(region, "orphan", make_role(region, "orphan"))
    speaker.says("one")
    wait_until(lambda: "said one" in speaker.logged())
    iam.delete_role_policy(RoleName="orphan", PolicyName="inline")
    iam.delete_role(RoleName="orphan")
    speaker.says("two")
    marker()
    # Nor does its successor speak for it: the environment's session is one of the old role.
    make_role(region, "orphan")
    speaker.says("three")
    marker()
    assert "said two" not in speaker.logged()
    assert "said three" not in speaker.logged()


@pytest.mark.parametrize("mode", ["audit", "off"])
def test_where_nothing_is_enforced_every_function_logs(start_region: Callable[..., Any], mode: str) -> None:
    region = start_region("--auth", mode)
    speaker = Speaker(region, "free", f"arn:aws:iam::{ACCOUNT}:role/nobody")
    speaker.says("one")
    wait_until(lambda: "said one" in speaker.logged())


# ---- calls ---------------------------------------------------------------------------------------------------------


class Caller:
    """A function that calls the region as its role."""

    def __init__(self, region: Any, name: str, role: str) -> None:
        self._client, self.name = region.client("lambda"), name
        make_function(region, name, CALLS, allow=False, role=role, timeout=30)

    def call(self, service: str, call: str, **parameters: Any) -> dict[str, Any]:
        event = {"service": service, "call": call, "parameters": parameters}
        answer = self._client.invoke(FunctionName=self.name, Payload=json.dumps(event))
        payload: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        return payload

    @property
    def session(self) -> str:
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/{self.name}/{self.name}"


def test_a_function_calls_what_its_role_allows_and_nothing_else(region: Any, iam: Any) -> None:
    target = make_function(region, "target", SPEAKS, allow=False)
    role = make_role(region, "caller", inline=allowing("lambda:InvokeFunction", resource=target))
    caller = Caller(region, "caller", role)
    facts = caller.call("sts", "get_caller_identity")["answer"]
    role_id = iam.get_role(RoleName="caller")["Role"]["RoleId"]
    assert facts == {"UserId": f"{role_id}:caller", "Account": ACCOUNT, "Arn": caller.session}

    assert caller.call("lambda", "invoke", FunctionName="target", Payload="1")["answer"]["StatusCode"] == 200
    for service, call, action, parameters in (
        ("lambda", "get_function", "lambda:GetFunction", {"FunctionName": "target"}),
        ("lambda", "invoke", "lambda:InvokeFunction", {"FunctionName": "caller", "Payload": "1"}),
        ("logs", "create_log_group", "logs:CreateLogGroup", {"logGroupName": "mine"}),
        ("iam", "get_role", "iam:GetRole", {"RoleName": "caller"}),
    ):
        refused = caller.call(service, call, **parameters)
        assert refused["refused"] in ("AccessDenied", "AccessDeniedException"), refused
        assert refused["message"].startswith(
            f"User: {caller.session} is not authorized to perform: {action} on resource: "
        )

    # A policy counts from its next call on.
    iam.put_role_policy(RoleName="caller", PolicyName="more", PolicyDocument=allowing("logs:CreateLogGroup"))
    assert "answer" in caller.call("logs", "create_log_group", logGroupName="mine")
    iam.delete_role_policy(RoleName="caller", PolicyName="more")
    assert "refused" in caller.call("logs", "create_log_group", logGroupName="other")


def test_a_function_of_a_deleted_role_may_do_nothing_more(region: Any, iam: Any) -> None:
    role = make_role(region, "doomed", inline=allowing("lambda:*", "logs:*"))
    caller = Caller(region, "doomed", role)
    assert "answer" in caller.call("lambda", "get_account_settings")
    iam.delete_role_policy(RoleName="doomed", PolicyName="inline")
    iam.delete_role(RoleName="doomed")
    assert caller.call("lambda", "get_account_settings")["refused"] == "AccessDeniedException"
    # One of the same name is another role: what was handed out as the old one is not its session.
    make_role(region, "doomed", inline=allowing("lambda:*"))
    assert caller.call("lambda", "get_account_settings")["refused"] == "AccessDeniedException"


def test_a_tag_of_the_role_is_one_of_its_sessions(region: Any, iam: Any) -> None:
    condition = {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    statement = {"Effect": "Allow", "Action": "lambda:GetAccountSettings", "Resource": "*", "Condition": condition}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    caller = Caller(region, "tagged", make_role(region, "tagged", inline=policy))
    assert "refused" in caller.call("lambda", "get_account_settings")
    iam.tag_role(RoleName="tagged", Tags=[{"Key": "team", "Value": "blue"}])
    assert "answer" in caller.call("lambda", "get_account_settings")


def test_whoever_gives_a_function_its_role_must_be_allowed_to_pass_it(region: Any, iam: Any) -> None:
    role = make_role(region, "passed", inline=LOGGING)
    iam.create_user(UserName="deployer")
    iam.put_user_policy(UserName="deployer", PolicyName="deploy", PolicyDocument=allowing("lambda:*"))
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    client = region.client("lambda", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    make_function(region, "given", SPEAKS, allow=False)

    def update() -> str:
        return str(client.update_function_configuration(FunctionName="given", Role=role)["Role"])

    with pytest.raises(client.exceptions.ClientError) as refusal:
        update()
    error = refusal.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert error["Message"] == (
        f"User: arn:aws:iam::{ACCOUNT}:user/deployer is not authorized to perform: iam:PassRole on resource: {role} "
        "because no identity-based policy allows the iam:PassRole action"
    )
    passing = json.loads(allowing("iam:PassRole", resource=role))
    passing["Statement"][0]["Condition"] = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    iam.put_user_policy(UserName="deployer", PolicyName="pass", PolicyDocument=json.dumps(passing))
    assert update() == role


def test_no_environment_starts_with_a_role_that_lambda_cannot_assume(region: Any, iam: Any) -> None:
    make_function(region, "left", SPEAKS, allow=False, role=make_role(region, "leaving"))
    client = region.client("lambda")
    iam.update_assume_role_policy(RoleName="leaving", PolicyDocument=trust("events.amazonaws.com"))
    for _ in range(3):
        with pytest.raises(client.exceptions.ClientError) as refusal:
            client.invoke(FunctionName="left", Payload="1")
        response = refusal.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert response["Error"] == {
            "Code": "AccessDeniedException",
            "Message": "The role defined for the function cannot be assumed by Lambda.",
        }
    iam.update_assume_role_policy(RoleName="leaving", PolicyDocument=trust("lambda.amazonaws.com"))
    assert client.invoke(FunctionName="left", Payload="1")["Payload"].read() == b"1"
