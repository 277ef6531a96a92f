"""Roles over the wire: what each answer shows and leaves out, as recorded from AWS."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from iam_helpers import ACCOUNT, allow, body, no_such, refused, trust


@pytest.fixture
def role(iam: Any) -> str:
    name = f"role-{time.monotonic_ns()}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust())
    return name


def test_a_role_is_shown_as_each_operation_shows_it(iam: Any) -> None:
    tags = [{"Key": "somekey", "Value": "somevalue"}]
    created = iam.create_role(
        RoleName="shown",
        Path="/shown/",
        AssumeRolePolicyDocument=trust(),
        Description="what it is for",
        MaxSessionDuration=7200,
        Tags=tags,
    )["Role"]
    assert re.fullmatch(r"AROA[A-Z2-7]{17}", created["RoleId"])
    common = {
        "Path": "/shown/",
        "RoleName": "shown",
        "RoleId": created["RoleId"],
        "Arn": f"arn:aws:iam::{ACCOUNT}:role/shown/shown",
        "CreateDate": created["CreateDate"],
        "AssumeRolePolicyDocument": json.loads(trust()),
    }
    more = {"Description": "what it is for", "MaxSessionDuration": 7200}
    assert created == {**common, "Tags": tags}
    assert iam.get_role(RoleName="shown")["Role"] == {**common, **more, "Tags": tags, "RoleLastUsed": {}}
    assert body(iam.list_roles(PathPrefix="/shown/")) == {"Roles": [{**common, **more}], "IsTruncated": False}


def test_what_is_not_given_has_aws_defaults(iam: Any, role: str) -> None:
    found = iam.get_role(RoleName=role)["Role"]
    assert found["MaxSessionDuration"] == 3600
    assert found["Path"] == "/"
    assert not {"Description", "Tags", "PermissionsBoundary"} & found.keys()


def test_updates_change_what_they_name(iam: Any, role: str) -> None:
    iam.update_role(RoleName=role, Description="first", MaxSessionDuration=43200)
    iam.update_role(RoleName=role)
    described = iam.update_role_description(RoleName=role, Description="second")["Role"]
    assert described["Description"] == "second"
    assert not {"MaxSessionDuration", "RoleLastUsed"} & described.keys()
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust("ec2.amazonaws.com"))
    found = iam.get_role(RoleName=role)["Role"]
    assert (found["Description"], found["MaxSessionDuration"]) == ("second", 43200)
    assert found["AssumeRolePolicyDocument"] == json.loads(trust("ec2.amazonaws.com"))
    iam.update_role(RoleName=role, Description="")
    assert iam.get_role(RoleName=role)["Role"]["Description"] == ""


def test_what_is_not_there_is_named(iam: Any) -> None:
    for call, more in (
        (iam.get_role, {}),
        (iam.delete_role, {}),
        (iam.update_role, {}),
        (iam.update_role_description, {"Description": ""}),
        (iam.update_assume_role_policy, {"PolicyDocument": trust()}),
        (iam.put_role_policy, {"PolicyName": "p", "PolicyDocument": allow("s3:*")}),
        (iam.get_role_policy, {"PolicyName": "p"}),
        (iam.delete_role_policy, {"PolicyName": "p"}),
        (iam.list_role_policies, {}),
        (iam.list_attached_role_policies, {}),
        (iam.put_role_permissions_boundary, {"PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess"}),
    ):
        with refused(*no_such("role", "nothing")):
            call(RoleName="nothing", **more)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("this is not valid json", "This policy contains invalid Json"),
        (
            trust().replace("sts:AssumeRole", "s3:GetObject"),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (trust().replace('"Effect"', '"Resource": "*", "Effect"'), "Has prohibited field Resource"),
        (allow("sts:AssumeRole"), "Missing required field Principal"),
        (trust().replace("Service", "AWS").replace("lambda.amazonaws.com", "nobody"), None),
    ],
)
def test_trust_policies_are_read_as_aws_reads_them(iam: Any, role: str, document: str, message: str | None) -> None:
    with refused("MalformedPolicyDocument", message, 400):
        iam.create_role(RoleName="never", AssumeRolePolicyDocument=document)
    with refused("MalformedPolicyDocument", message, 400):
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=document)


def test_white_space_of_a_trust_policy_does_not_count(iam: Any, role: str) -> None:
    statement = json.loads(trust())["Statement"][0]
    statement["Condition"] = {"StringEquals": {"aws:SourceAccount": ["0" * 12] * 120}}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    indented = json.dumps(document, indent=8)
    assert len(indented) > 2048 > len(json.dumps(document, separators=(",", ":")))
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=indented)
    statement["Condition"]["StringEquals"]["aws:SourceAccount"] *= 2
    with refused("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048", 409):
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))


def test_a_role_is_deleted_once_nothing_hangs_on_it(iam: Any, role: str) -> None:
    arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=allow("s3:*"))
    with refused("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409):
        iam.delete_role(RoleName=role)
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    with refused("DeleteConflict", "Cannot delete entity, must delete policies first.", 409):
        iam.delete_role(RoleName=role)
    iam.delete_role_policy(RoleName=role, PolicyName="own")
    iam.delete_role(RoleName=role)
    with refused(*no_such("role", role)):
        iam.get_role(RoleName=role)


def test_roles_are_refused_by_quota_name_and_path(iam: Any, role: str) -> None:
    with refused("EntityAlreadyExists", f"Role with name {role} already exists.", 409):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust())
    with refused("InvalidInput", None, 400):
        iam.create_role(RoleName="x", Path="/aws-service-role/x/", AssumeRolePolicyDocument=trust())
    with refused("ValidationError", None, 400):
        iam.create_role(RoleName="x", MaxSessionDuration=43201, AssumeRolePolicyDocument=trust())


def test_the_last_use_of_a_role_is_shown(region: Any, iam: Any, role: str) -> None:
    user = f"{role}-user"
    arn = iam.create_user(UserName=user)["User"]["Arn"]
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=allow("sts:AssumeRole"))
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trusting(arn))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    sts = region.client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    made = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="session")["Credentials"]
    assert iam.get_role(RoleName=role)["Role"]["RoleLastUsed"] == {}
    before = int(time.time())
    region.client(
        "sts",
        region_name="eu-west-1",
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
        aws_session_token=made["SessionToken"],
    ).get_caller_identity()
    used = iam.get_role(RoleName=role)["Role"]["RoleLastUsed"]
    assert used["Region"] == "eu-west-1"
    assert before <= used["LastUsedDate"].timestamp() <= before + 5


def test_changes_of_many_at_once_are_all_kept(region: Any, iam: Any, role: str) -> None:
    def put(number: int) -> None:
        iam.put_role_policy(RoleName=role, PolicyName=f"p{number}", PolicyDocument=allow(f"s3:Get{number}*"))
        iam.tag_role(RoleName=role, Tags=[{"Key": f"k{number}", "Value": "v"}])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put, range(24)))
    assert len(iam.list_role_policies(RoleName=role)["PolicyNames"]) == 24
    assert len(iam.get_role(RoleName=role)["Role"]["Tags"]) == 24


@pytest.mark.parametrize(
    ("tags", "member", "demand"),
    [
        ([(f"k{n}", "v") for n in range(51)], "tags", "have length less than or equal to 50"),
        ([("k" * 129, "v")], "tags.1.member.key", "have length less than or equal to 128"),
        ([("k", "v" * 257)], "tags.1.member.value", "have length less than or equal to 256"),
        ([("k!", "v")], "tags.1.member.key", r"satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+"),
    ],
)
def test_tags_are_limited(iam: Any, tags: list[tuple[str, str]], member: str, demand: str) -> None:
    message = f"1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must {demand}"
    with refused("ValidationError", message, 400):
        iam.create_role(
            RoleName="never",
            AssumeRolePolicyDocument=trust(),
            Tags=[{"Key": key, "Value": value} for key, value in tags],
        )


# ---- permissions boundaries ----------------------------------------------------------------------------------------


def test_a_boundary_is_put_shown_counted_and_removed(iam: Any, role: str) -> None:
    arn = iam.create_policy(PolicyName=f"{role}-bound", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    shown = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    created = iam.create_role(RoleName=f"{role}-bounded", AssumeRolePolicyDocument=trust(), PermissionsBoundary=arn)[
        "Role"
    ]
    assert created["PermissionsBoundary"] == shown
    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=arn)
    iam.create_user(UserName=f"{role}-user", PermissionsBoundary=arn)
    assert iam.get_role(RoleName=role)["Role"]["PermissionsBoundary"] == shown
    assert iam.get_user(UserName=f"{role}-user")["User"]["PermissionsBoundary"] == shown
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (policy["AttachmentCount"], policy["PermissionsBoundaryUsageCount"]) == (0, 3)
    with refused("DeleteConflict", "Cannot delete a policy attached to entities.", 409):
        iam.delete_policy(PolicyArn=arn)
    iam.delete_role_permissions_boundary(RoleName=role)
    iam.delete_user_permissions_boundary(UserName=f"{role}-user")
    iam.delete_role(RoleName=f"{role}-bounded")
    assert "PermissionsBoundary" not in iam.get_role(RoleName=role)["Role"]
    iam.delete_policy(PolicyArn=arn)


def test_a_boundary_is_a_policy_that_exists(iam: Any, role: str) -> None:
    invalid = f"arn:aws:iam::{ACCOUNT}:not_a_policy/invalid"
    missing = f"arn:aws:iam::{ACCOUNT}:policy/nonexistent-policy"
    for call, more in (
        (iam.put_role_permissions_boundary, {"RoleName": role}),
        (iam.create_role, {"RoleName": "never", "AssumeRolePolicyDocument": trust()}),
        (iam.create_user, {"UserName": "never"}),
    ):
        with refused("InvalidInput", f"ARN {invalid} is not valid.", 400):
            call(PermissionsBoundary=invalid, **more)
        with refused("NoSuchEntity", f"Scope ARN: {missing} does not exist or is not attachable.", 404):
            call(PermissionsBoundary=missing, **more)


# ---- whom roles trust ----------------------------------------------------------------------------------------------


def trusting(*arns: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": list(arns)}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusted_by(iam: Any, role: str) -> list[str]:
    named: list[str] = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"][
        "AWS"
    ]
    return named


def test_a_role_trusts_who_exists(iam: Any, role: str) -> None:
    missing = f"arn:aws:iam::{ACCOUNT}:role/nothing"
    for call, more in (
        (iam.create_role, {"RoleName": "never", "AssumeRolePolicyDocument": trusting(missing)}),
        (iam.update_assume_role_policy, {"RoleName": role, "PolicyDocument": trusting(missing)}),
    ):
        with refused("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{missing}"', 400):
            call(**more)
    # Who is of another account may be beyond this region; the root of one is always there.
    beyond = ["arn:aws:iam::111122223333:role/theirs", f"arn:aws:iam::{ACCOUNT}:root", "111122223333"]
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trusting(*beyond))
    assert trusted_by(iam, role) == beyond


def test_trust_in_one_who_is_gone_passes_to_nobody_of_that_name(region: Any, iam: Any, role: str) -> None:
    user = f"{role}-user"
    created = iam.create_user(UserName=user)["User"]
    key = iam.create_access_key(UserName=user)["AccessKey"]
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trusting(created["Arn"]))
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=allow("sts:*"))
    sts = region.client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    session = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{role}", "RoleSessionName": "session"}
    sts.assume_role(**session)
    # A new name is the same user.
    iam.update_user(UserName=user, NewUserName=f"{user}-2")
    assert trusted_by(iam, role) == [f"{created['Arn']}-2"]
    sts.assume_role(**session)
    iam.update_user(UserName=f"{user}-2", NewUserName=user)
    assert trusted_by(iam, role) == [created["Arn"]]
    iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=user, PolicyName="p")
    iam.delete_user(UserName=user)
    assert trusted_by(iam, role) == [created["UserId"]]

    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=allow("sts:*"))
    sts = region.client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    with refused("AccessDenied", None, 403):
        sts.assume_role(**session)
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trusting(created["Arn"]))
    sts.assume_role(**session)
