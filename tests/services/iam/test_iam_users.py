"""Users and groups over the wire."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from iam_helpers import ACCOUNT, allow, body, no_such, refused


@pytest.fixture
def user(iam: Any) -> str:
    name = f"user-{time.monotonic_ns()}"
    iam.create_user(UserName=name)
    return name


def test_a_user_is_created_found_and_listed_as_aws_shows_it(iam: Any) -> None:
    before = int(time.time())
    tags = [{"Key": "team", "Value": "platform"}, {"Key": "env", "Value": ""}]
    created = iam.create_user(UserName="Ada", Path="/division/team/", Tags=tags)["User"]
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", created["UserId"])
    assert before <= created["CreateDate"].timestamp() <= before + 5
    assert created == {
        "Path": "/division/team/",
        "UserName": "Ada",
        "UserId": created["UserId"],
        "Arn": f"arn:aws:iam::{ACCOUNT}:user/division/team/Ada",
        "CreateDate": created["CreateDate"],
        "Tags": tags,
    }
    assert iam.get_user(UserName="Ada")["User"] == created
    listed = body(iam.list_users(PathPrefix="/division/te"))
    assert listed == {"Users": [{k: v for k, v in created.items() if k != "Tags"}], "IsTruncated": False}


def test_names_are_told_apart_without_regard_to_case(iam: Any) -> None:
    iam.create_user(UserName="Grace")
    with refused("EntityAlreadyExists", "User with name GRACE already exists.", 409):
        iam.create_user(UserName="GRACE")
    assert iam.get_user(UserName="grace")["User"]["UserName"] == "Grace"


def test_a_user_is_renamed_and_moved_and_keeps_its_id_keys_and_policies(iam: Any, user: str) -> None:
    before = iam.get_user(UserName=user)["User"]
    key = iam.create_access_key(UserName=user)["AccessKey"]
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=allow("s3:*"))
    iam.update_user(UserName=user, NewUserName=f"{user}-new", NewPath="/moved/")
    after = iam.get_user(UserName=f"{user}-new")["User"]
    assert after == {
        **before,
        "UserName": f"{user}-new",
        "Path": "/moved/",
        "Arn": f"arn:aws:iam::{ACCOUNT}:user/moved/{user}-new",
    }
    (listed,) = iam.list_access_keys(UserName=f"{user}-new")["AccessKeyMetadata"]
    assert (listed["AccessKeyId"], listed["UserName"]) == (key["AccessKeyId"], f"{user}-new")
    assert iam.list_user_policies(UserName=f"{user}-new")["PolicyNames"] == ["own"]
    with refused(*no_such("user", user)):
        iam.get_user(UserName=user)
    # Another case of its own name is no collision; another's name is.
    iam.update_user(UserName=f"{user}-new", NewUserName=f"{user}-NEW")
    iam.create_user(UserName=user)
    with refused("EntityAlreadyExists", f"User with name {user}-new already exists.", 409):
        iam.update_user(UserName=user, NewUserName=f"{user}-new")


def test_what_is_not_there_is_named(iam: Any) -> None:
    for call in (iam.get_user, iam.update_user, iam.delete_user, iam.list_access_keys, iam.list_groups_for_user):
        with refused(*no_such("user", "nobody")):
            call(UserName="nobody")


def test_a_user_is_deleted_once_nothing_hangs_on_it(iam: Any, user: str) -> None:
    group = f"{user}-group"
    iam.create_group(GroupName=group)
    policy = iam.create_policy(PolicyName=f"{user}-policy", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    key = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    iam.attach_user_policy(UserName=user, PolicyArn=policy)
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=allow("s3:*"))
    iam.add_user_to_group(UserName=user, GroupName=group)
    steps: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("delete access keys", lambda: iam.delete_access_key(UserName=user, AccessKeyId=key)),
        ("detach all policies", lambda: iam.detach_user_policy(UserName=user, PolicyArn=policy)),
        ("delete policies", lambda: iam.delete_user_policy(UserName=user, PolicyName="own")),
        ("remove users from group", lambda: iam.remove_user_from_group(UserName=user, GroupName=group)),
    )
    for what, undo in steps:
        with refused("DeleteConflict", f"Cannot delete entity, must {what} first.", 409):
            iam.delete_user(UserName=user)
        undo()
    iam.delete_user(UserName=user)
    with refused(*no_such("user", user)):
        iam.delete_user(UserName=user)


def test_lists_come_in_pages_by_path(iam: Any) -> None:
    names = sorted(f"paged-{number}" for number in range(5))
    for name in reversed(names):
        iam.create_user(UserName=name, Path="/paged/")
    pages = list(iam.get_paginator("list_users").paginate(PathPrefix="/paged/", PaginationConfig={"PageSize": 2}))
    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [names[:2], names[2:4], names[4:]]
    assert [page["IsTruncated"] for page in pages] == [True, True, False]
    assert body(iam.list_users(PathPrefix="/pagedx/")) == {"Users": [], "IsTruncated": False}
    # Neither case nor wildcards mean anything in a path.
    assert iam.list_users(PathPrefix="/PAGED/")["Users"] == []
    assert iam.list_users(PathPrefix="/p%/")["Users"] == []
    with refused("ValidationError", "Invalid Marker.", 400):
        iam.list_users(Marker="not one of ours")


def test_tags_are_told_apart_without_regard_to_case(iam: Any) -> None:
    tags = [{"Key": "team", "Value": "a"}, {"Key": "TEAM", "Value": "b"}]
    with refused("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.", 400):
        iam.create_user(UserName="tagged", Tags=tags)


def test_the_root_is_nobodys_user(iam: Any) -> None:
    assert iam.get_user()["User"] == {"UserId": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root"}
    with refused("ValidationError", "Must specify userName when calling with non-User credentials", 400):
        iam.list_access_keys()


def test_names_are_checked_without_being_repeated(iam: Any) -> None:
    with refused(
        "ValidationError",
        "1 validation error detected: Value at 'userName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64",
        400,
    ):
        iam.create_user(UserName="x" * 65)


# ---- groups --------------------------------------------------------------------------------------------------------


def test_a_group_has_members_that_come_and_go(iam: Any, user: str) -> None:
    created = iam.create_group(GroupName=f"{user}-g", Path="/teams/")["Group"]
    assert re.fullmatch(r"AGPA[A-Z2-7]{17}", created["GroupId"])
    assert created["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/teams/{user}-g"
    assert body(iam.get_group(GroupName=f"{user}-g")) == {"Group": created, "Users": [], "IsTruncated": False}
    iam.add_user_to_group(UserName=user, GroupName=f"{user}-g")
    iam.add_user_to_group(UserName=user, GroupName=f"{user}-g")
    assert iam.get_group(GroupName=f"{user}-g")["Users"] == [iam.get_user(UserName=user)["User"]]
    assert body(iam.list_groups_for_user(UserName=user)) == {"Groups": [created], "IsTruncated": False}
    # A renamed group keeps who is in it.
    iam.update_group(GroupName=f"{user}-g", NewGroupName=f"{user}-h", NewPath="/")
    assert [one["UserName"] for one in iam.get_group(GroupName=f"{user}-h")["Users"]] == [user]
    with refused("DeleteConflict", "Cannot delete entity, must remove users from group first.", 409):
        iam.delete_group(GroupName=f"{user}-h")
    iam.remove_user_from_group(UserName=user, GroupName=f"{user}-h")
    iam.remove_user_from_group(UserName=user, GroupName=f"{user}-h")
    assert iam.list_groups_for_user(UserName=user)["Groups"] == []
    iam.delete_group(GroupName=f"{user}-h")
    with refused(*no_such("group", f"{user}-h")):
        iam.get_group(GroupName=f"{user}-h")


def test_groups_refuse_what_aws_refuses(iam: Any, user: str) -> None:
    group = f"{user}-group"
    iam.create_group(GroupName=group)
    with refused("EntityAlreadyExists", f"Group with name {group} already exists.", 409):
        iam.create_group(GroupName=group)
    with refused(*no_such("user", "nobody")):
        iam.add_user_to_group(UserName="nobody", GroupName=group)
    with refused(*no_such("group", "nothing")):
        iam.add_user_to_group(UserName=user, GroupName="nothing")
    with refused(*no_such("user", "nobody")):
        iam.remove_user_from_group(UserName="nobody", GroupName="nothing")
    for number in range(10):
        iam.create_group(GroupName=f"{group}-{number}")
        iam.add_user_to_group(UserName=user, GroupName=f"{group}-{number}")
    with refused("LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10", 409):
        iam.add_user_to_group(UserName=user, GroupName=group)
    assert len(iam.list_groups_for_user(UserName=user, MaxItems=4)["Groups"]) == 4


def test_a_group_with_policies_stays(iam: Any, user: str) -> None:
    group = f"{user}-group"
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="own", PolicyDocument=allow("s3:*"))
    with refused("DeleteConflict", "Cannot delete entity, must delete policies first.", 409):
        iam.delete_group(GroupName=group)
    iam.delete_group_policy(GroupName=group, PolicyName="own")
    iam.attach_group_policy(GroupName=group, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    with refused("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409):
        iam.delete_group(GroupName=group)
