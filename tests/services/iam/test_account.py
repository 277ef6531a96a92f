"""An account as a whole: its alias, its summary, everything that it has in detail."""

from __future__ import annotations

from typing import Any

import pytest
from iam_helpers import ACCOUNT, allow, body, refused, trust

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


@pytest.fixture(autouse=True)
def _empty(region: Any, iam: Any) -> None:
    region.reset()
    for name in iam.list_role_policies(RoleName="worker")["PolicyNames"]:
        iam.delete_role_policy(RoleName="worker", PolicyName=name)
    iam.delete_role(RoleName="worker")


def test_an_account_has_one_alias(iam: Any) -> None:
    assert body(iam.list_account_aliases()) == {"AccountAliases": [], "IsTruncated": False}
    iam.create_account_alias(AccountAlias="first-one")
    iam.create_account_alias(AccountAlias="engine-room")
    assert iam.list_account_aliases()["AccountAliases"] == ["engine-room"]
    with refused("NoSuchEntity", "The account alias first-one cannot be found.", 404):
        iam.delete_account_alias(AccountAlias="first-one")
    iam.delete_account_alias(AccountAlias="engine-room")
    assert iam.list_account_aliases()["AccountAliases"] == []


def test_the_summary_counts(iam: Any) -> None:
    empty = iam.get_account_summary()["SummaryMap"]
    assert (empty["Users"], empty["UsersQuota"], empty["AccountAccessKeysPresent"]) == (0, 5000, 1)
    iam.create_user(UserName="one")
    iam.create_role(RoleName="one", AssumeRolePolicyDocument=trust())
    arn = iam.create_policy(PolicyName="one", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("sqs:*"))
    iam.create_instance_profile(InstanceProfileName="one")
    summary = iam.get_account_summary()["SummaryMap"]
    changed = {key: value - empty[key] for key, value in summary.items() if value != empty[key]}
    assert changed == {"Users": 1, "Roles": 1, "Policies": 1, "PolicyVersionsInUse": 2, "InstanceProfiles": 1}


@pytest.fixture
def furnished(iam: Any) -> str:
    """The ARN of a policy that a user has, beside a group and a role."""
    arn: str = iam.create_policy(PolicyName="own", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("sqs:*"), SetAsDefault=True)
    iam.create_user(UserName="ada", PermissionsBoundary=arn, Tags=[{"Key": "team", "Value": "blue"}])
    iam.create_group(GroupName="makers")
    iam.add_user_to_group(GroupName="makers", UserName="ada")
    iam.put_user_policy(UserName="ada", PolicyName="inline", PolicyDocument=allow("sns:*"))
    iam.attach_user_policy(UserName="ada", PolicyArn=arn)
    iam.attach_group_policy(GroupName="makers", PolicyArn=READ_ONLY)
    iam.create_role(RoleName="runner", AssumeRolePolicyDocument=trust())
    iam.create_instance_profile(InstanceProfileName="runner")
    iam.add_role_to_instance_profile(InstanceProfileName="runner", RoleName="runner")
    return arn


def test_details_show_everything_that_counts(iam: Any, furnished: str) -> None:
    details = iam.get_account_authorization_details()
    (user,), (group,), (role,) = (details[f"{noun}DetailList"] for noun in ("User", "Group", "Role"))
    assert (user["UserName"], user["GroupList"], user["Tags"]) == (
        "ada",
        ["makers"],
        [{"Key": "team", "Value": "blue"}],
    )
    assert user["PermissionsBoundary"]["PermissionsBoundaryArn"] == furnished
    assert user["AttachedManagedPolicies"] == [{"PolicyName": "own", "PolicyArn": furnished}]
    (inline,) = user["UserPolicyList"]
    assert (inline["PolicyName"], inline["PolicyDocument"]["Statement"][0]["Action"]) == ("inline", ["sns:*"])
    assert group["AttachedManagedPolicies"] == [{"PolicyName": "ReadOnlyAccess", "PolicyArn": READ_ONLY}]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Action"] == "sts:AssumeRole"
    assert [each["Arn"] for each in role["InstanceProfileList"]] == [f"arn:aws:iam::{ACCOUNT}:instance-profile/runner"]
    own, of_aws = details["Policies"]
    assert (own["Arn"], own["AttachmentCount"], own["PermissionsBoundaryUsageCount"]) == (furnished, 1, 1)
    assert [version["VersionId"] for version in own["PolicyVersionList"]] == ["v2", "v1"]
    assert (of_aws["Arn"], of_aws["AttachmentCount"]) == (READ_ONLY, 1)


def test_details_are_filtered_and_come_in_pages(iam: Any, furnished: str) -> None:
    def found(**options: Any) -> list[str]:
        names = {"UserDetailList": "User", "GroupDetailList": "Group", "RoleDetailList": "Role", "Policies": "Policy"}
        answer = iam.get_account_authorization_details(**options)
        return [each[f"{noun}Name"] for member, noun in names.items() for each in answer[member]]

    assert found(Filter=["User", "Role"]) == ["ada", "runner"]
    assert found(Filter=["LocalManagedPolicy"]) == ["own"]
    assert found(Filter=["AWSManagedPolicy"]) == ["ReadOnlyAccess"]
    first = iam.get_account_authorization_details(MaxItems=3)
    assert first["IsTruncated"]
    assert found(MaxItems=3) + found(Marker=first["Marker"]) == found()


@pytest.mark.slow
def test_aliases_and_what_there_is_outlive_a_restart(region: Any, iam: Any) -> None:
    iam.create_account_alias(AccountAlias="lasting")
    iam.create_user(UserName="lasting")
    region.kill()
    region.start()
    again = region.client("iam")
    assert again.list_account_aliases()["AccountAliases"] == ["lasting"]
    assert [user["UserName"] for user in again.list_users()["Users"]] == ["lasting"]
