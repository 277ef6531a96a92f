"""IAM's simulator: what policies would decide, by the same evaluation as real calls, and which statements do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from iam_helpers import ACCOUNT, allow, refused, trust

BUCKET = "arn:aws:s3:::photos/cat.jpg"
DENY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"},
    }
)


def simulated(iam: Any, *policies: str, actions: list[str], **options: Any) -> list[dict[str, Any]]:
    answer = iam.simulate_custom_policy(PolicyInputList=list(policies), ActionNames=actions, **options)
    results: list[dict[str, Any]] = answer["EvaluationResults"]
    return results


def decisions(results: list[dict[str, Any]]) -> dict[str, str]:
    return {result["EvalActionName"]: result["EvalDecision"] for result in results}


def test_every_action_is_allowed_denied_or_not_spoken_of(iam: Any) -> None:
    results = simulated(iam, allow("s3:*"), DENY, actions=["s3:GetObject", "s3:DeleteObject", "sqs:SendMessage"])
    assert decisions(results) == {
        "s3:GetObject": "allowed",
        "s3:DeleteObject": "explicitDeny",
        "sqs:SendMessage": "implicitDeny",
    }
    assert [result["EvalResourceName"] for result in results] == ["*"] * 3
    sources = [[each["SourcePolicyId"] for each in result["MatchedStatements"]] for result in results]
    assert sources == [["PolicyInputList.1"], ["PolicyInputList.2"], []]


def test_statements_are_pointed_at_where_they_stand(iam: Any) -> None:
    text = '{\n    "Version": "2012-10-17",\n    "Statement": [\n        {\n            "Effect": "Allow",\n'
    text += '            "Action": "s3:*",\n            "Resource": "*"\n        }\n    ]\n}'
    ((matched,),) = [each["MatchedStatements"] for each in simulated(iam, text, actions=["s3:GetObject"])]
    assert matched == {
        "SourcePolicyId": "PolicyInputList.1",
        "SourcePolicyType": "IAM Policy",
        "StartPosition": {"Line": 3, "Column": 19},
        "EndPosition": {"Line": 8, "Column": 10},
    }


def test_resources_are_decided_one_by_one(iam: Any) -> None:
    (result,) = simulated(
        iam,
        allow("s3:GetObject", resource="arn:aws:s3:::photos/*"),
        actions=["s3:GetObject"],
        ResourceArns=[BUCKET, "arn:aws:s3:::books/one"],
    )
    each = {one["EvalResourceName"]: one["EvalResourceDecision"] for one in result["ResourceSpecificResults"]}
    assert each == {BUCKET: "allowed", "arn:aws:s3:::books/one": "implicitDeny"}
    assert result["EvalDecision"] == "implicitDeny"


def test_conditions_take_the_context_that_is_given_and_name_the_keys_that_are_missing(iam: Any) -> None:
    statement = {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::home/${aws:username}/*",
        "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    asked = {"actions": ["s3:GetObject"], "ResourceArns": ["arn:aws:s3:::home/ada/x"]}
    (without,) = simulated(iam, policy, **asked)
    assert without["EvalDecision"] == "implicitDeny"
    assert sorted(without["MissingContextValues"]) == ["aws:SourceIp", "aws:username"]
    entries = [
        {"ContextKeyName": "aws:sourceip", "ContextKeyValues": ["10.1.2.3"], "ContextKeyType": "ip"},
        {"ContextKeyName": "aws:username", "ContextKeyValues": ["ada"], "ContextKeyType": "string"},
    ]
    (given,) = simulated(iam, policy, **asked, ContextEntries=entries)
    assert (given["EvalDecision"], given["MissingContextValues"]) == ("allowed", [])
    keys = iam.get_context_keys_for_custom_policy(PolicyInputList=[policy])["ContextKeyNames"]
    assert sorted(keys) == ["aws:SourceIp", "aws:username"]


def test_a_boundary_limits_what_policies_allow(iam: Any) -> None:
    results = simulated(
        iam,
        allow("s3:*", "sqs:*"),
        actions=["s3:GetObject", "sqs:SendMessage"],
        PermissionsBoundaryPolicyInputList=[allow("s3:*")],
    )
    assert decisions(results) == {"s3:GetObject": "allowed", "sqs:SendMessage": "implicitDeny"}
    allowed = [result["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"] for result in results]
    assert allowed == [True, False]


def resource_policy(principal: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "s3:GetObject", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_resource_policy_grants_alone_in_one_account_and_with_the_other_across_two(iam: Any) -> None:
    caller = f"arn:aws:iam::{ACCOUNT}:user/any"
    asked: dict[str, Any] = {"actions": ["s3:GetObject"], "ResourceArns": [BUCKET], "CallerArn": caller}
    (own,) = simulated(iam, allow("sqs:*"), **asked, ResourcePolicy=resource_policy(caller))
    assert own["EvalDecision"] == "allowed"
    other = {"ResourcePolicy": resource_policy(caller), "ResourceOwner": "111122223333"}
    (refused_there,) = simulated(iam, allow("sqs:*"), **asked, **other)
    assert refused_there["EvalDecision"] == "implicitDeny"
    (specific,) = refused_there["ResourceSpecificResults"]
    assert specific["EvalDecisionDetails"] == {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"}
    (both,) = simulated(iam, allow("s3:*"), **asked, **other)
    assert both["EvalDecision"] == "allowed"
    with refused("InvalidInput", status=400):
        simulated(iam, allow("s3:*"), actions=["s3:GetObject"], ResourcePolicy=resource_policy(caller))


def test_a_principal_is_simulated_with_all_that_is_attached_to_it(iam: Any) -> None:
    iam.create_user(UserName="simulated")
    iam.create_group(GroupName="simulated")
    iam.add_user_to_group(GroupName="simulated", UserName="simulated")
    iam.put_user_policy(UserName="simulated", PolicyName="own", PolicyDocument=allow("s3:GetObject"))
    iam.put_group_policy(GroupName="simulated", PolicyName="shared", PolicyDocument=allow("sqs:SendMessage"))
    managed = iam.create_policy(PolicyName="simulated", PolicyDocument=allow("sns:Publish"))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="simulated", PolicyArn=managed)
    arn = f"arn:aws:iam::{ACCOUNT}:user/simulated"
    actions = ["s3:GetObject", "sqs:SendMessage", "sns:Publish", "lambda:InvokeFunction"]

    def ask(**options: Any) -> dict[str, tuple[str, list[str]]]:
        found = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=actions, **options)["EvaluationResults"]
        return {
            each["EvalActionName"]: (each["EvalDecision"], [one["SourcePolicyId"] for one in each["MatchedStatements"]])
            for each in found
        }

    assert ask() == {
        "s3:GetObject": ("allowed", ["user_simulated_own"]),
        "sqs:SendMessage": ("allowed", ["group_simulated_shared"]),
        "sns:Publish": ("allowed", ["simulated"]),
        "lambda:InvokeFunction": ("implicitDeny", []),
    }
    assert ask(PolicyInputList=[allow("lambda:*")])["lambda:InvokeFunction"] == ("allowed", ["PolicyInputList.1"])
    without = ask(PolicyExclusionList=[{"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/sim*"}])
    assert (without["sns:Publish"][0], without["s3:GetObject"][0]) == ("implicitDeny", "allowed")
    inline = {"PolicyName": "shared", "AttachmentType": "group", "AttachmentName": "simulated"}
    assert ask(PolicyExclusionList=[{"InlinePolicyIdentifier": inline}])["sqs:SendMessage"][0] == "implicitDeny"
    iam.put_user_permissions_boundary(UserName="simulated", PermissionsBoundary=managed)
    bounded = ask()
    assert (bounded["sns:Publish"][0], bounded["s3:GetObject"][0]) == ("allowed", "implicitDeny")
    assert ask(PolicyExclusionList=[{"PolicyType": "permission-boundary"}])["s3:GetObject"][0] == "allowed"


def test_the_simulation_says_what_the_region_then_does(region: Any, iam: Any) -> None:
    iam.create_user(UserName="both")
    iam.put_user_policy(UserName="both", PolicyName="own", PolicyDocument=allow("iam:ListUsers"))
    key = iam.create_access_key(UserName="both")["AccessKey"]
    mine = region.client("iam", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    source = f"arn:aws:iam::{ACCOUNT}:user/both"
    actions = ["iam:ListUsers", "iam:ListRoles"]
    results = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=actions)["EvaluationResults"]
    assert decisions(results) == {"iam:ListUsers": "allowed", "iam:ListRoles": "implicitDeny"}
    assert mine.list_users()["Users"]
    with refused("AccessDenied", status=403):
        mine.list_roles()


def test_context_keys_of_a_principal(iam: Any) -> None:
    iam.create_role(RoleName="keyed", AssumeRolePolicyDocument=trust())
    statement = {
        "Effect": "Allow",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}, "Bool": {"aws:SecureTransport": "true"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="keyed", PolicyName="own", PolicyDocument=document)
    arn = f"arn:aws:iam::{ACCOUNT}:role/keyed"
    keys = iam.get_context_keys_for_principal_policy(PolicySourceArn=arn, PolicyInputList=[allow("s3:*")])
    assert sorted(keys["ContextKeyNames"]) == ["aws:PrincipalTag/team", "aws:SecureTransport"]


def test_results_come_in_pages(iam: Any) -> None:
    actions = [f"s3:Action{number}" for number in range(5)]
    pages = iam.get_paginator("simulate_custom_policy").paginate(
        PolicyInputList=[allow("s3:*")], ActionNames=actions, PaginationConfig={"PageSize": 2}
    )
    found = [[each["EvalActionName"] for each in page["EvaluationResults"]] for page in pages]
    assert found == [actions[:2], actions[2:4], actions[4:]]


@pytest.mark.parametrize(
    "options",
    [
        {"PolicyInputList": ["{}"], "ActionNames": ["s3:GetObject"]},
        {"PolicyInputList": [allow("s3:*")], "ActionNames": ["GetObject"]},
        {"PolicyInputList": [allow("s3:*")], "ActionNames": ["s3:*"]},
        {"PolicyInputList": [allow("s3:*")], "ActionNames": ["s3:GetObject"], "CallerArn": "nobody"},
        {"PolicyInputList": [allow("s3:*")], "ActionNames": ["s3:GetObject"], "ResourceOwner": "me"},
        {"PolicyInputList": [allow("s3:*")], "ActionNames": ["s3:GetObject"], "ResourceHandlingOption": "EC2-VPC"},
    ],
)
def test_what_cannot_be_simulated_is_refused(iam: Any, options: dict[str, Any]) -> None:
    with refused("InvalidInput", status=400):
        iam.simulate_custom_policy(**options)


def test_whom_nobody_knows_is_not_simulated(iam: Any) -> None:
    with refused("NoSuchEntity", "The user with name ghost cannot be found.", 404):
        iam.simulate_principal_policy(
            PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/ghost", ActionNames=["s3:GetObject"]
        )
    with refused("InvalidInput", status=400):
        iam.simulate_principal_policy(PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:root", ActionNames=["s3:GetObject"])
