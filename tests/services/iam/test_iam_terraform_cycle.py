"""What Terraform's AWS provider does with IAM, call by call: create, read without drift, update, destroy.

Reads come in full after each step, as each refresh makes them; a difference would be a change planned for ever.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from iam_helpers import ACCOUNT, allow, refused, trust

NAME = "tf-example"
TAGS = [{"Key": "Name", "Value": "tf"}, {"Key": "env", "Value": "test"}]


def missing(call: Callable[..., Any], **params: Any) -> bool:
    """As the provider waits for what it destroyed: NoSuchEntity, by code alone."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    return bool(caught.value.response["Error"]["Code"] == "NoSuchEntity")


class Provider:
    """The resources as the provider reads them into its state."""

    def __init__(self, iam: Any) -> None:
        self.iam = iam

    def role(self, name: str) -> dict[str, Any]:
        """aws_iam_role, with what hangs on it."""
        role = self.iam.get_role(RoleName=name)["Role"]
        inline = {
            policy: self.iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for page in self.iam.get_paginator("list_role_policies").paginate(RoleName=name)
            for policy in page["PolicyNames"]
        }
        attached = {
            policy["PolicyArn"]
            for page in self.iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
            for policy in page["AttachedPolicies"]
        }
        return {
            "arn": role["Arn"],
            "assume_role_policy": role["AssumeRolePolicyDocument"],
            "description": role.get("Description", ""),
            "max_session_duration": role["MaxSessionDuration"],
            "path": role["Path"],
            "permissions_boundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
            "tags": role.get("Tags", []),
            "inline_policy": inline,
            "managed_policy_arns": attached,
        }

    def policy(self, arn: str) -> dict[str, Any]:
        """aws_iam_policy."""
        policy = self.iam.get_policy(PolicyArn=arn)["Policy"]
        version = self.iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        return {
            "arn": policy["Arn"],
            "name": policy["PolicyName"],
            "path": policy["Path"],
            "description": policy.get("Description", ""),
            "policy": version["Document"],
            "tags": policy.get("Tags", []),
        }

    def update_policy(self, arn: str, document: str) -> None:
        """Five versions at most: the oldest that is not the default makes room."""
        versions = self.iam.list_policy_versions(PolicyArn=arn)["Versions"]
        if len(versions) >= 5:
            oldest = min(
                (one for one in versions if not one["IsDefaultVersion"]), key=lambda one: int(one["VersionId"][1:])
            )
            self.iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
        self.iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)

    def delete_policy(self, arn: str) -> None:
        for version in self.iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                self.iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        self.iam.delete_policy(PolicyArn=arn)

    def user(self, name: str) -> dict[str, Any]:
        """aws_iam_user."""
        user = self.iam.get_user(UserName=name)["User"]
        return {
            "arn": user["Arn"],
            "unique_id": user["UserId"],
            "path": user["Path"],
            "permissions_boundary": user.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
            "tags": user.get("Tags", []),
        }


@pytest.fixture
def provider(iam: Any) -> Provider:
    return Provider(iam)


def test_aws_iam_role_and_role_policy(iam: Any, provider: Provider) -> None:
    iam.create_role(RoleName=NAME, Path="/", AssumeRolePolicyDocument=trust(), MaxSessionDuration=3600, Tags=TAGS)
    iam.put_role_policy(RoleName=NAME, PolicyName="inline", PolicyDocument=allow("logs:*"))
    expected = {
        "arn": f"arn:aws:iam::{ACCOUNT}:role/{NAME}",
        "assume_role_policy": json.loads(trust()),
        "description": "",
        "max_session_duration": 3600,
        "path": "/",
        "permissions_boundary": "",
        "tags": TAGS,
        "inline_policy": {"inline": json.loads(allow("logs:*"))},
        "managed_policy_arns": set(),
    }
    assert provider.role(NAME) == expected
    iam.update_assume_role_policy(RoleName=NAME, PolicyDocument=trust("ec2.amazonaws.com"))
    iam.update_role_description(RoleName=NAME, Description="changed")
    iam.update_role(RoleName=NAME, MaxSessionDuration=7200, Description="changed")
    assert provider.role(NAME) == {
        **expected,
        "assume_role_policy": json.loads(trust("ec2.amazonaws.com")),
        "description": "changed",
        "max_session_duration": 7200,
    }
    # What destroying one goes through, `force_detach_policies` included.
    assert iam.list_instance_profiles_for_role(RoleName=NAME)["InstanceProfiles"] == []
    for policy in iam.list_attached_role_policies(RoleName=NAME)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=NAME, PolicyArn=policy["PolicyArn"])
    for policy_name in iam.list_role_policies(RoleName=NAME)["PolicyNames"]:
        iam.delete_role_policy(RoleName=NAME, PolicyName=policy_name)
    iam.delete_role(RoleName=NAME)
    assert missing(iam.get_role, RoleName=NAME)


def test_aws_iam_policy_and_its_attachment(iam: Any, provider: Provider) -> None:
    arn = iam.create_policy(
        PolicyName=NAME, Path="/tf/", Description="one", PolicyDocument=allow("s3:Get*"), Tags=TAGS
    )["Policy"]["Arn"]
    expected = {
        "arn": f"arn:aws:iam::{ACCOUNT}:policy/tf/{NAME}",
        "name": NAME,
        "path": "/tf/",
        "description": "one",
        "policy": json.loads(allow("s3:Get*")),
        "tags": TAGS,
    }
    assert provider.policy(arn) == expected
    for number in range(7):
        document = allow(f"s3:Get{number}*")
        provider.update_policy(arn, document)
        assert provider.policy(arn) == {**expected, "policy": json.loads(document)}
    assert [one["VersionId"] for one in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == [
        "v8",
        "v7",
        "v6",
        "v5",
        "v4",
    ]

    # aws_iam_role_policy_attachment looks for its policy among those attached.
    iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=trust())
    basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    for one in (arn, basic):
        iam.attach_role_policy(RoleName=NAME, PolicyArn=one)
    assert provider.role(NAME)["managed_policy_arns"] == {arn, basic}
    for one in (arn, basic):
        iam.detach_role_policy(RoleName=NAME, PolicyArn=one)
        assert missing(iam.detach_role_policy, RoleName=NAME, PolicyArn=one)
    assert provider.role(NAME)["managed_policy_arns"] == set()
    iam.delete_role(RoleName=NAME)
    provider.delete_policy(arn)
    assert missing(iam.get_policy, PolicyArn=arn)


def test_aws_iam_user_group_membership_and_access_key(region: Any, iam: Any, provider: Provider) -> None:
    created = iam.create_user(UserName=NAME, Path="/", Tags=TAGS)["User"]
    expected = {
        "arn": f"arn:aws:iam::{ACCOUNT}:user/{NAME}",
        "unique_id": created["UserId"],
        "path": "/",
        "permissions_boundary": "",
        "tags": TAGS,
    }
    assert provider.user(NAME) == expected

    # aws_iam_access_key finds itself in the list of its user's.
    key = iam.create_access_key(UserName=NAME)["AccessKey"]
    (listed,) = iam.list_access_keys(UserName=NAME)["AccessKeyMetadata"]
    assert (listed["AccessKeyId"], listed["Status"]) == (key["AccessKeyId"], "Active")
    iam.update_access_key(UserName=NAME, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert iam.list_access_keys(UserName=NAME)["AccessKeyMetadata"][0]["Status"] == "Inactive"
    # The provider asks when it was last used, and lets the answer be.
    iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])

    # aws_iam_group, aws_iam_user_group_membership
    iam.create_group(GroupName=NAME, Path="/")
    iam.add_user_to_group(UserName=NAME, GroupName=NAME)
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName=NAME)["Groups"]] == [NAME]
    assert [user["UserName"] for user in iam.get_group(GroupName=NAME)["Users"]] == [NAME]

    iam.update_user(UserName=NAME, NewUserName=f"{NAME}-2", NewPath="/moved/")
    assert provider.user(f"{NAME}-2") == {
        **expected,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/moved/{NAME}-2",
        "path": "/moved/",
    }
    # The order in which a plan is destroyed.
    iam.remove_user_from_group(UserName=f"{NAME}-2", GroupName=NAME)
    iam.delete_group(GroupName=NAME)
    iam.delete_access_key(UserName=f"{NAME}-2", AccessKeyId=key["AccessKeyId"])
    assert missing(iam.delete_access_key, UserName=f"{NAME}-2", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=f"{NAME}-2")
    assert missing(iam.get_user, UserName=f"{NAME}-2")


def test_a_role_that_exists_already_is_told_by_code(iam: Any) -> None:
    iam.create_role(RoleName=f"{NAME}-twice", AssumeRolePolicyDocument=trust())
    with refused("EntityAlreadyExists", None, 409):
        iam.create_role(RoleName=f"{NAME}-twice", AssumeRolePolicyDocument=trust())
