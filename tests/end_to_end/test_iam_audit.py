"""`--auth audit` lets callers pass and tells what they were missing; `lambent iam` prints it, and what decides."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.roles import ACCOUNT, allowing

pytestmark = pytest.mark.slow

ANN = f"arn:aws:iam::{ACCOUNT}:user/ann"
LAMBDA = f"arn:aws:lambda:us-east-1:{ACCOUNT}"


def lambent(region: Any, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "lambent.cli", *arguments, "--data-dir", str(region.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def as_user(region: Any, name: str = "ann") -> Callable[[str], Any]:
    iam = region.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="lists", PolicyDocument=allowing("lambda:List*"))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=region.name)
    return lambda service: session.client(service, endpoint_url=region.url)


def test_audit_tells_what_was_missing_and_what_would_do(start_region: Callable[..., Any]) -> None:
    region = start_region("--auth", "audit")
    ann = as_user(region)
    ann("lambda").list_functions()
    ann("logs").create_log_group(logGroupName="/g")
    ann("logs").create_log_stream(logGroupName="/g", logStreamName="s")
    ann("logs").describe_log_groups()
    with pytest.raises(ClientError, match="Function not found"):
        ann("lambda").get_function(FunctionName="f")

    region.restart()
    _, printed = lambent(region, "iam", "audit", "--principal", ANN, "--json")
    (found,) = json.loads(printed)["principals"]
    assert [(use["action"], use["missing"]) for use in found["missing"]] == [
        ("lambda:GetFunction", 1),
        ("logs:CreateLogGroup", 1),
        ("logs:CreateLogStream", 1),
        ("logs:DescribeLogGroups", 1),
    ]
    assert found["missing"][0]["why"] == "because no identity-based policy allows the lambda:GetFunction action"
    logs = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group"
    assert found["policy"]["Statement"] == [
        {"Effect": "Allow", "Action": ["lambda:ListFunctions"], "Resource": "*"},
        {"Effect": "Allow", "Action": ["lambda:GetFunction"], "Resource": f"{LAMBDA}:function:f"},
        {"Effect": "Allow", "Action": ["logs:CreateLogGroup", "logs:CreateLogStream"], "Resource": f"{logs}:/g:*"},
        {"Effect": "Allow", "Action": ["logs:DescribeLogGroups"], "Resource": f"{logs}::*"},
    ]
    status, printed = lambent(region, "iam", "audit")
    assert status == 0
    assert ANN in printed
    assert f"arn:aws:iam::{ACCOUNT}:root" in printed

    # What was made of it is enough, and no more than that.
    strict = start_region()
    iam = strict.client("iam")
    ann = as_user(strict)
    iam.put_user_policy(UserName="ann", PolicyName="lists", PolicyDocument=json.dumps(found["policy"]))
    ann("logs").create_log_group(logGroupName="/g")
    ann("logs").create_log_stream(logGroupName="/g", logStreamName="s")
    ann("logs").describe_log_groups()
    with pytest.raises(ClientError, match="is not authorized to perform: logs:CreateLogGroup"):
        ann("logs").create_log_group(logGroupName="/other")


def test_explain_names_the_statement_that_decides(region: Any) -> None:
    as_user(region)
    iam = region.client("iam")
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "logs:*", "Resource": "*"},
            {
                "Sid": "FromHome",
                "Effect": "Deny",
                "Action": "logs:*",
                "Resource": "*",
                "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            },
        ],
    }
    iam.put_user_policy(UserName="ann", PolicyName="home", PolicyDocument=json.dumps(document))
    asked = ("iam", "explain", ANN, "logs:DescribeLogGroups")
    assert lambent(region, *asked, "--context", "aws:SourceIp=10.1.2.3") == (
        0,
        "Allowed by an identity-based policy.\nAllow: statement 1 of home\n",
    )
    assert lambent(region, *asked, "--context", "aws:SourceIp=192.0.2.1") == (
        1,
        "Denied with an explicit deny in an identity-based policy.\nDeny: statement 2 (FromHome) of home\n",
    )
    assert lambent(region, "iam", "explain", ANN, "iam:CreateUser") == (
        1,
        "Denied because no identity-based policy allows the iam:CreateUser action.\n",
    )
    assert lambent(region, "iam", "explain", f"arn:aws:iam::{ACCOUNT}:root", "iam:CreateUser")[0] == 0
    assert lambent(region, "iam", "explain", ANN.replace("ann", "bob"), "iam:CreateUser") == (
        1,
        f"lambent: There is no user or role {ANN.replace('ann', 'bob')}.\n",
    )
    assert lambent(region, "iam", "explain", ANN, "nonsense")[0] == 1


def test_strict_tells_what_it_refused(region: Any) -> None:
    bob = f"arn:aws:iam::{ACCOUNT}:user/bob"
    calls = as_user(region, "bob")("lambda")
    calls.list_functions()
    _, printed = lambent(region, "iam", "audit", "--principal", bob)
    assert printed.startswith(f"Nothing was written down of {bob}.")
    with pytest.raises(ClientError):
        calls.get_account_settings()
    _, printed = lambent(region, "iam", "audit", "--principal", bob)
    assert "lambda:GetAccountSettings" in printed
    assert "lambda:ListFunctions" not in printed


@pytest.mark.parametrize(("method", "path"), [("GET", "/_lambent/iam/audit"), ("POST", "/_lambent/iam/explain")])
def test_only_the_operator_may_ask(region: Any, method: str, path: str) -> None:
    assert region.request(method, path).status == 403
