"""Managed policies, their versions and attachments, and inline policies, as recorded from AWS."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from iam_helpers import ACCOUNT, allow, body, no_such, refused, trust

BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
#: Those that the issue names, with their paths.
OF_AWS = [
    *(
        f"service-role/{name}"
        for name in (
            "AWSLambdaBasicExecutionRole",
            "AWSLambdaSQSQueueExecutionRole",
            "AWSLambdaDynamoDBExecutionRole",
            "AWSLambdaKinesisExecutionRole",
            "AWSLambdaVPCAccessExecutionRole",
            "AWSLambdaRole",
            "AmazonAPIGatewayPushToCloudWatchLogs",
        )
    ),
    "AWSLambda_FullAccess",
    "AWSLambda_ReadOnlyAccess",
    "AdministratorAccess",
    "PowerUserAccess",
    "ReadOnlyAccess",
    *(f"Amazon{service}{kind}Access" for service in ("S3", "DynamoDB", "SQS", "SNS") for kind in ("Full", "ReadOnly")),
    "CloudWatchLogsFullAccess",
    "AmazonAPIGatewayInvokeFullAccess",
    "AWSXRayDaemonWriteAccess",
]


@pytest.fixture
def policy(iam: Any) -> str:
    """The ARN of a policy of this test's own."""
    created = iam.create_policy(PolicyName=f"policy-{time.monotonic_ns()}", PolicyDocument=allow("s3:*"))
    return str(created["Policy"]["Arn"])


@pytest.fixture
def role(iam: Any) -> str:
    name = f"role-{time.monotonic_ns()}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust())
    return name


def test_a_policy_is_shown_as_each_operation_shows_it(iam: Any) -> None:
    tags = [{"Key": "a", "Value": "lower"}, {"Key": "A", "Value": "upper"}]
    created = iam.create_policy(
        PolicyName="shown", Path="/shown/", PolicyDocument=allow("s3:*"), Description="why", Tags=tags
    )["Policy"]
    assert re.fullmatch(r"ANPA[A-Z2-7]{17}", created["PolicyId"])
    listed = {
        "PolicyName": "shown",
        "PolicyId": created["PolicyId"],
        "Arn": f"arn:aws:iam::{ACCOUNT}:policy/shown/shown",
        "Path": "/shown/",
        "DefaultVersionId": "v1",
        "AttachmentCount": 0,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "CreateDate": created["CreateDate"],
        "UpdateDate": created["CreateDate"],
    }
    assert created == {**listed, "Tags": tags}
    assert iam.get_policy(PolicyArn=created["Arn"])["Policy"] == {**listed, "Description": "why", "Tags": tags}
    assert body(iam.list_policies(PathPrefix="/shown/")) == {"Policies": [listed], "IsTruncated": False}


def test_a_policy_refuses_what_aws_refuses(iam: Any, policy: str) -> None:
    name = policy.rpartition("/")[2]
    with refused(
        "EntityAlreadyExists", f"A policy called {name} already exists. Duplicate names are not allowed.", 409
    ):
        iam.create_policy(PolicyName=name, Path="/elsewhere/", PolicyDocument=allow("s3:*"))
    for document, message in (
        ("nothing", "Syntax errors in policy."),
        (allow("s3"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        (allow("s3:*").replace("2012-10-17", "2008-10-17"), "Policy document must be version 2012-10-17 or greater."),
        (allow("s3:*", resource="adf"), 'Resource adf must be in ARN format or "*".'),
        (trust(), "Policy document should not specify a principal."),
    ):
        with refused("MalformedPolicyDocument", message, 400):
            iam.create_policy(PolicyName="never", PolicyDocument=document)
        with refused("MalformedPolicyDocument", message, 400):
            iam.create_policy_version(PolicyArn=policy, PolicyDocument=document)
    long = allow("s3:*", resource="arn:aws:s3:::" + "x" * 6144)
    with refused("LimitExceeded", "Cannot exceed quota for PolicySize: 6144", 409):
        iam.create_policy(PolicyName="never", PolicyDocument=long)
    tags = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    with refused("InvalidInput", "Duplicate tag keys found.", 400):
        iam.create_policy(PolicyName="never", PolicyDocument=allow("s3:*"), Tags=tags)
    missing = f"arn:aws:iam::{ACCOUNT}:policy/nothing"
    with refused("NoSuchEntity", f"Policy {missing} was not found.", 404):
        iam.get_policy(PolicyArn=missing)
    with refused("NoSuchEntity", f"Policy {missing} was not found.", 404):
        iam.delete_policy(PolicyArn=missing)


def test_white_space_of_a_policy_does_not_count(iam: Any) -> None:
    document = json.loads(allow("s3:*"))
    document["Statement"][0]["Resource"] = ["arn:aws:s3:::b"] * 300
    iam.create_policy(PolicyName="spacious", PolicyDocument=json.dumps(document, indent=8))


# ---- versions ------------------------------------------------------------------------------------------------------


def test_versions_are_kept_up_to_five_and_never_numbered_twice(iam: Any, policy: str) -> None:
    second = iam.create_policy_version(PolicyArn=policy, PolicyDocument=allow("s3:List*"), SetAsDefault=True)
    assert second["PolicyVersion"] == {
        "VersionId": "v2",
        "IsDefaultVersion": True,
        "CreateDate": second["PolicyVersion"]["CreateDate"],
    }
    for _ in range(3):
        made = iam.create_policy_version(PolicyArn=policy, PolicyDocument=allow("s3:Get*"))
        assert made["PolicyVersion"]["IsDefaultVersion"] is False
    with refused(
        "LimitExceeded",
        "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing "
        "version.",
        409,
    ):
        iam.create_policy_version(PolicyArn=policy, PolicyDocument=allow("s3:Get*"))
    listed = iam.list_policy_versions(PolicyArn=policy)["Versions"]
    assert [(one["VersionId"], one["IsDefaultVersion"]) for one in listed] == [
        ("v5", False),
        ("v4", False),
        ("v3", False),
        ("v2", True),
        ("v1", False),
    ]
    pages = iam.get_paginator("list_policy_versions").paginate(PolicyArn=policy, PaginationConfig={"PageSize": 2})
    assert [len(page["Versions"]) for page in pages] == [2, 2, 1]
    iam.delete_policy_version(PolicyArn=policy, VersionId="v5")
    again = iam.create_policy_version(PolicyArn=policy, PolicyDocument=allow("s3:Get*"))["PolicyVersion"]
    assert again["VersionId"] == "v6"
    found = iam.get_policy_version(PolicyArn=policy, VersionId="v2")["PolicyVersion"]
    assert found["Document"] == json.loads(allow("s3:List*"))
    assert iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"] == "v2"


def test_the_default_version_is_moved_and_stays(iam: Any, policy: str) -> None:
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=allow("s3:Get*"))
    with refused("DeleteConflict", "Cannot delete the default version of a policy.", 409):
        iam.delete_policy_version(PolicyArn=policy, VersionId="v1")
    with refused(
        "DeleteConflict",
        "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
        "The default version is deleted with the policy.",
        409,
    ):
        iam.delete_policy(PolicyArn=policy)
    iam.set_default_policy_version(PolicyArn=policy, VersionId="v2")
    iam.delete_policy_version(PolicyArn=policy, VersionId="v1")
    assert [one["VersionId"] for one in iam.list_policy_versions(PolicyArn=policy)["Versions"]] == ["v2"]
    missing = f"{policy} version v9 does not exist or is not attachable."
    for call in (iam.get_policy_version, iam.set_default_policy_version, iam.delete_policy_version):
        with refused("NoSuchEntity", f"Policy {missing}", 404):
            call(PolicyArn=policy, VersionId="v9")
        with refused("NoSuchEntity", None, 404):
            call(PolicyArn=f"{policy}-not", VersionId="v1")
    iam.delete_policy(PolicyArn=policy)


# ---- those of AWS --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_AWS)
def test_the_policies_of_aws_have_documents(iam: Any, name: str) -> None:
    arn = f"arn:aws:iam::aws:policy/{name}"
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (policy["Arn"], policy["Tags"], policy["IsAttachable"]) == (arn, [], True)
    version = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    assert version["Document"]["Version"] == "2012-10-17"
    assert version["IsDefaultVersion"]


def test_the_policies_of_aws_can_be_attached_and_nothing_else(iam: Any, role: str) -> None:
    iam.attach_role_policy(RoleName=role, PolicyArn=BASIC)
    assert iam.get_policy(PolicyArn=BASIC)["Policy"]["AttachmentCount"] >= 1
    for call, more in (
        (iam.delete_policy, {}),
        (iam.create_policy_version, {"PolicyDocument": allow("s3:*")}),
        (iam.set_default_policy_version, {"VersionId": "v1"}),
        (iam.delete_policy_version, {"VersionId": "v1"}),
    ):
        with refused("AccessDenied", "Policy is outside your own account.", 403):
            call(PolicyArn=BASIC, **more)


def test_policies_are_listed_by_scope_and_use(iam: Any, policy: str, role: str) -> None:
    def arns(**params: Any) -> set[str]:
        pages = iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 7}, **params)
        found = [one["Arn"] for page in pages for one in page["Policies"]]
        assert len(set(found)) == len(found)
        return set(found)

    assert all("::aws:policy/" in arn for arn in arns(Scope="AWS"))
    assert {f"arn:aws:iam::aws:policy/{name}" for name in OF_AWS} <= arns(Scope="AWS")
    assert policy in arns(Scope="Local")
    assert arns(Scope="All") == arns(Scope="AWS") | arns(Scope="Local") == arns()
    assert policy not in arns(OnlyAttached=True)
    iam.attach_role_policy(RoleName=role, PolicyArn=policy)
    assert policy in arns(OnlyAttached=True)
    assert policy in arns(PolicyUsageFilter="PermissionsPolicy")
    assert policy not in arns(PolicyUsageFilter="PermissionsBoundary")
    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=policy)
    assert policy in arns(PolicyUsageFilter="PermissionsBoundary")


# ---- attachments ---------------------------------------------------------------------------------------------------


def test_policies_are_attached_once_counted_and_detached(iam: Any, policy: str, role: str) -> None:
    user, group = f"{role}-user", f"{role}-group"
    iam.create_user(UserName=user)
    iam.create_group(GroupName=group)
    name = policy.rpartition("/")[2]
    for attach, detach, listing, who in (
        (iam.attach_role_policy, iam.detach_role_policy, iam.list_attached_role_policies, {"RoleName": role}),
        (iam.attach_user_policy, iam.detach_user_policy, iam.list_attached_user_policies, {"UserName": user}),
        (iam.attach_group_policy, iam.detach_group_policy, iam.list_attached_group_policies, {"GroupName": group}),
    ):
        assert body(listing(**who)) == {"AttachedPolicies": [], "IsTruncated": False}
        attach(PolicyArn=policy, **who)
        attach(PolicyArn=policy, **who)
        attached = [{"PolicyName": name, "PolicyArn": policy}]
        assert body(listing(**who)) == {"AttachedPolicies": attached, "IsTruncated": False}
        assert listing(PathPrefix="/elsewhere/", **who)["AttachedPolicies"] == []
        with refused("DeleteConflict", "Cannot delete a policy attached to entities.", 409):
            iam.delete_policy(PolicyArn=policy)
        detach(PolicyArn=policy, **who)
        with refused("NoSuchEntity", f"Policy {policy} was not found.", 404):
            detach(PolicyArn=policy, **who)
        missing = f"arn:aws:iam::{ACCOUNT}:policy/nothing"
        with refused("NoSuchEntity", f"Policy {missing} does not exist or is not attachable.", 404):
            attach(PolicyArn=missing, **who)
        with refused("ValidationError", "ARN longpolicynamebutnoarn is not valid.", 400):
            attach(PolicyArn="longpolicynamebutnoarn", **who)
    assert iam.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] == 0


def test_ten_policies_can_be_attached(iam: Any, role: str) -> None:
    arns = [one["Arn"] for one in iam.list_policies(Scope="AWS", MaxItems=11)["Policies"]]
    for arn in arns[:10]:
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    with refused("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10", 409):
        iam.attach_role_policy(RoleName=role, PolicyArn=arns[10])
    pages = iam.get_paginator("list_attached_role_policies").paginate(RoleName=role, PaginationConfig={"PageSize": 4})
    assert {one["PolicyArn"] for page in pages for one in page["AttachedPolicies"]} == set(arns[:10])


def test_policies_of_other_accounts_are_not_there(iam: Any, role: str) -> None:
    other = "arn:aws:iam::111122223333:policy/theirs"
    with refused("NoSuchEntity", f"Policy {other} does not exist or is not attachable.", 404):
        iam.attach_role_policy(RoleName=role, PolicyArn=other)


# ---- inline policies -----------------------------------------------------------------------------------------------


def test_inline_policies_are_put_read_listed_and_deleted(iam: Any, role: str) -> None:
    # Every letter that a document may hold comes back as it was.
    document = allow("s3:Get*", resource="arn:aws:s3:::bücket-${aws:username}/50%+ off/*").replace(", ", ",\n\t ")
    iam.put_role_policy(RoleName=role, PolicyName="b", PolicyDocument=document)
    iam.put_role_policy(RoleName=role, PolicyName="a", PolicyDocument=allow("sqs:*"))
    found = body(iam.get_role_policy(RoleName=role, PolicyName="b"))
    assert found == {"RoleName": role, "PolicyName": "b", "PolicyDocument": json.loads(document)}
    assert body(iam.list_role_policies(RoleName=role)) == {"PolicyNames": ["a", "b"], "IsTruncated": False}
    iam.put_role_policy(RoleName=role, PolicyName="b", PolicyDocument=allow("sns:*"))
    assert iam.get_role_policy(RoleName=role, PolicyName="b")["PolicyDocument"] == json.loads(allow("sns:*"))
    iam.delete_role_policy(RoleName=role, PolicyName="b")
    for call in (iam.get_role_policy, iam.delete_role_policy):
        with refused(*no_such("role policy", "b")):
            call(RoleName=role, PolicyName="b")
    with refused("MalformedPolicyDocument", "Syntax errors in policy.", 400):
        iam.put_role_policy(RoleName=role, PolicyName="b", PolicyDocument="{}")


@pytest.mark.parametrize("version", [None, "2008-10-17"])
def test_a_version_is_asked_of_managed_policies_alone(iam: Any, role: str, version: str | None) -> None:
    document = json.loads(allow("s3:*"))
    del document["Version"]
    text = json.dumps({**document, **({"Version": version} if version else {})})
    with refused("MalformedPolicyDocument", "Policy document must be version 2012-10-17 or greater.", 400):
        iam.create_policy(PolicyName="never", PolicyDocument=text)
    iam.put_role_policy(RoleName=role, PolicyName="old", PolicyDocument=text)
    assert iam.get_role_policy(RoleName=role, PolicyName="old")["PolicyDocument"] == json.loads(text)
    with refused("MalformedPolicyDocument", None, 400):
        iam.put_role_policy(RoleName=role, PolicyName="new", PolicyDocument=text.replace("2008-", "2030-") + "x")


@pytest.mark.parametrize(("kind", "most"), [("user", 2048), ("group", 5120), ("role", 10240)])
def test_inline_policies_of_one_entity_are_measured_together(iam: Any, kind: str, most: int) -> None:
    name = f"{kind}-of-size"
    more = {"AssumeRolePolicyDocument": trust()} if kind == "role" else {}
    member = f"{kind.title()}Name"
    getattr(iam, f"create_{kind}")(**{member: name}, **more)
    put = getattr(iam, f"put_{kind}_policy")
    half = allow("s3:*", resource="arn:aws:s3:::" + "x" * (most // 2 - 200))
    put(**{member: name}, PolicyName="first", PolicyDocument=half)
    put(**{member: name}, PolicyName="second", PolicyDocument=half)
    third = allow("s3:*", resource="arn:aws:s3:::" + "x" * 400)
    with refused("LimitExceeded", f"Maximum policy size of {most} bytes exceeded for {kind} {name}", 409):
        put(**{member: name}, PolicyName="third", PolicyDocument=third)
    # What replaces a policy counts in its place.
    put(**{member: name}, PolicyName="second", PolicyDocument=third)
    assert getattr(iam, f"list_{kind}_policies")(**{member: name})["PolicyNames"] == ["first", "second"]
