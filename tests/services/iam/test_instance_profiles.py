"""Instance profiles, tags of every noun, service-linked roles, and who has a policy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from iam_helpers import ACCOUNT, allow, body, no_such, refused, trust


def profile(iam: Any, name: str, role: str = "") -> dict[str, Any]:
    made: dict[str, Any] = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    if role:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust())
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
    return made


def test_a_profile_holds_one_role_and_shows_it(iam: Any) -> None:
    tags = [{"Key": "team", "Value": "blue"}]
    made = iam.create_instance_profile(InstanceProfileName="web", Path="/fleet/", Tags=tags)["InstanceProfile"]
    assert made["InstanceProfileId"].startswith("AIPA")
    assert (made["Arn"], made["Roles"], made["Tags"]) == (
        f"arn:aws:iam::{ACCOUNT}:instance-profile/fleet/web",
        [],
        tags,
    )
    with refused("EntityAlreadyExists", "Instance Profile WEB already exists.", 409):
        iam.create_instance_profile(InstanceProfileName="WEB")
    iam.create_role(RoleName="web", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    with refused("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", 409):
        iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    (shown,) = iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"]["Roles"]
    assert shown["RoleName"] == "web"
    assert shown["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    for listed in (
        iam.list_instance_profiles(PathPrefix="/fleet/"),
        iam.list_instance_profiles_for_role(RoleName="web"),
    ):
        assert [each["InstanceProfileName"] for each in listed["InstanceProfiles"]] == ["web"]


def test_neither_profile_nor_role_goes_while_they_hold_each_other(iam: Any) -> None:
    profile(iam, "held", "holder")
    conflict = "Cannot delete entity, must remove roles from instance profile first."
    with refused("DeleteConflict", conflict, 409):
        iam.delete_instance_profile(InstanceProfileName="held")
    with refused("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.", 409):
        iam.delete_role(RoleName="holder")
    with refused(*no_such("role", "nobody")):
        iam.remove_role_from_instance_profile(InstanceProfileName="held", RoleName="nobody")
    iam.remove_role_from_instance_profile(InstanceProfileName="held", RoleName="holder")
    iam.delete_role(RoleName="holder")
    iam.delete_instance_profile(InstanceProfileName="held")
    with refused("NoSuchEntity", "Instance Profile held cannot be found.", 404):
        iam.get_instance_profile(InstanceProfileName="held")


def test_profiles_are_listed_in_pages(iam: Any) -> None:
    for number in range(5):
        iam.create_instance_profile(InstanceProfileName=f"page-{number}", Path="/pages/")
    pages = list(
        iam.get_paginator("list_instance_profiles").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 2})
    )
    assert [len(page["InstanceProfiles"]) for page in pages] == [2, 2, 1]


# ---- tags ----------------------------------------------------------------------------------------------------------

NOUNS = {
    "user": ("UserName", lambda iam, name: iam.create_user(UserName=name) and name),
    "role": (
        "RoleName",
        lambda iam, name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust()) and name,
    ),
    "instance_profile": (
        "InstanceProfileName",
        lambda iam, name: iam.create_instance_profile(InstanceProfileName=name) and name,
    ),
    "policy": (
        "PolicyArn",
        lambda iam, name: iam.create_policy(PolicyName=name, PolicyDocument=allow("s3:*"))["Policy"]["Arn"],
    ),
}


@pytest.mark.parametrize("noun", NOUNS)
def test_tags_of_every_noun_come_change_and_go(iam: Any, noun: str) -> None:
    member, make = NOUNS[noun]
    target = {member: make(iam, f"tagged-{noun}")}
    tag, untag = getattr(iam, f"tag_{noun}"), getattr(iam, f"untag_{noun}")
    shown = lambda **more: body(getattr(iam, f"list_{noun}_tags")(**target, **more))  # noqa: E731
    tag(**target, Tags=[{"Key": "stage", "Value": "test"}, {"Key": "Cost", "Value": "1"}])
    tag(**target, Tags=[{"Key": "stage", "Value": "live"}, {"Key": "owner", "Value": ""}])
    tags = {each["Key"]: each["Value"] for each in shown()["Tags"]}
    assert tags == {"Cost": "1", "owner": "", "stage": "live"}
    first = shown(MaxItems=2)
    assert (len(first["Tags"]), first["IsTruncated"]) == (2, True)
    assert len(shown(MaxItems=2, Marker=first["Marker"])["Tags"]) == 1
    untag(**target, TagKeys=["owner", "never"])
    assert len(shown()["Tags"]) == 2
    with refused("InvalidInput", status=400):
        tag(**target, Tags=[{"Key": "aws:mine", "Value": "x"}])
    with refused("LimitExceeded", "The number of tags has reached the maximum limit.", 409):
        tag(**target, Tags=[{"Key": f"key-{number}", "Value": "x"} for number in range(49)])


def test_case_tells_the_tags_of_policies_apart_and_no_others(iam: Any) -> None:
    arn = NOUNS["policy"][1](iam, "cased")
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}])
    assert len(iam.list_policy_tags(PolicyArn=arn)["Tags"]) == 2
    iam.create_user(UserName="cased", Tags=[{"Key": "team", "Value": "1"}])
    iam.tag_user(UserName="cased", Tags=[{"Key": "TEAM", "Value": "2"}])
    assert iam.list_user_tags(UserName="cased")["Tags"] == [{"Key": "TEAM", "Value": "2"}]
    with refused("AccessDenied", status=403):
        iam.tag_policy(PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess", Tags=[{"Key": "a", "Value": "b"}])


# ---- service-linked roles --------------------------------------------------------------------------------------------


def test_a_service_linked_role_is_its_services_from_beginning_to_end(iam: Any) -> None:
    made = iam.create_service_linked_role(AWSServiceName="ops.apigateway.amazonaws.com", Description="x")["Role"]
    assert (made["Path"], made["RoleName"]) == (
        "/aws-service-role/ops.apigateway.amazonaws.com/",
        "AWSServiceRoleForAPIGateway",
    )
    name = made["RoleName"]
    assert iam.get_role(RoleName=name)["Role"]["Description"] == "x"
    taken = f"Service role name {name} has been taken in this account, please try a different suffix."
    with refused("InvalidInput", taken, 400):
        iam.create_service_linked_role(AWSServiceName="ops.apigateway.amazonaws.com")
    with refused("UnmodifiableEntity", status=400):
        iam.delete_role(RoleName=name)
    with refused("UnmodifiableEntity", status=400):
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=allow("*"))
    task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
    assert task.startswith(f"task/aws-service-role/ops.apigateway.amazonaws.com/{name}/")
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    with refused(*no_such("role", name)):
        iam.get_role(RoleName=name)
    with refused("NoSuchEntity", status=404):
        iam.get_service_linked_role_deletion_status(DeletionTaskId=f"{task}x")


def test_some_services_take_a_suffix_and_others_do_not(iam: Any) -> None:
    made = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="blue")["Role"]
    assert made["RoleName"] == "AWSServiceRoleForAutoScaling_blue"
    with refused("InvalidInput", "Custom suffix is not allowed for es.amazonaws.com", 400):
        iam.create_service_linked_role(AWSServiceName="es.amazonaws.com", CustomSuffix="blue")
    with refused("InvalidInput", status=400):
        iam.create_service_linked_role(AWSServiceName="no-service")
    iam.create_role(RoleName="ordinary", AssumeRolePolicyDocument=trust())
    with refused("InvalidInput", status=400):
        iam.delete_service_linked_role(RoleName="ordinary")


# ---- who has a policy ------------------------------------------------------------------------------------------------


def test_entities_of_a_policy_by_kind_use_and_path(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="shared", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    iam.create_user(UserName="u-one", Path="/in/")
    iam.create_user(UserName="u-two", PermissionsBoundary=arn)
    iam.create_group(GroupName="g-one")
    iam.create_role(RoleName="r-one", AssumeRolePolicyDocument=trust())
    iam.attach_user_policy(UserName="u-one", PolicyArn=arn)
    iam.attach_group_policy(GroupName="g-one", PolicyArn=arn)
    iam.attach_role_policy(RoleName="r-one", PolicyArn=arn)

    def names(**options: Any) -> list[str]:
        found = iam.list_entities_for_policy(PolicyArn=arn, **options)
        kinds = (("PolicyGroups", "GroupName"), ("PolicyRoles", "RoleName"), ("PolicyUsers", "UserName"))
        return [each[name] for member, name in kinds for each in found[member]]

    assert names() == ["g-one", "r-one", "u-one", "u-two"]
    assert names(EntityFilter="User") == ["u-one", "u-two"]
    assert names(PolicyUsageFilter="PermissionsBoundary") == ["u-two"]
    assert names(PathPrefix="/in/") == ["u-one"]
    first = iam.list_entities_for_policy(PolicyArn=arn, MaxItems=3)
    assert first["IsTruncated"]
    assert names(Marker=first["Marker"]) == ["u-two"]
    with refused("NoSuchEntity", status=404):
        iam.list_entities_for_policy(PolicyArn=f"{arn}x")


def test_documents_of_trust_come_back_as_json(iam: Any) -> None:
    made = iam.create_service_linked_role(AWSServiceName="lambda.amazonaws.com")["Role"]
    document = made["AssumeRolePolicyDocument"]
    document = json.loads(document) if isinstance(document, str) else document
    assert document["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}
