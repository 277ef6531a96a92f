"""What IAM acknowledged is there after a restart and after a kill, keys believed again; a reset empties it."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from iam_helpers import ACCOUNT, allow, no_such, refused, trust

from tests.conftest import wait_until

pytestmark = pytest.mark.slow


def everything(region: Any) -> dict[str, Any]:
    """All that was made, as the answers show it."""
    iam = region.client("iam")
    answers = {
        "user": iam.get_user(UserName="kept"),
        "keys": iam.list_access_keys(UserName="kept"),
        "last use": iam.get_access_key_last_used(
            AccessKeyId=iam.list_access_keys(UserName="kept")["AccessKeyMetadata"][0]["AccessKeyId"]
        ),
        "groups": iam.list_groups_for_user(UserName="kept"),
        "group policies": iam.list_group_policies(GroupName="kept"),
        "role": iam.get_role(RoleName="kept"),
        "attached": iam.list_attached_role_policies(RoleName="kept"),
        "inline": iam.get_role_policy(RoleName="kept", PolicyName="own"),
        "policy": iam.get_policy(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/kept"),
        "versions": iam.list_policy_versions(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/kept"),
    }
    for answer in answers.values():
        del answer["ResponseMetadata"]
    return answers


def fill(region: Any) -> dict[str, str]:
    """The credentials of the user that was made."""
    iam = region.client("iam")
    arn = iam.create_policy(PolicyName="kept", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("s3:Get*"), SetAsDefault=True)
    iam.create_user(UserName="kept", PermissionsBoundary=arn, Tags=[{"Key": "a", "Value": "b"}])
    iam.create_group(GroupName="kept")
    iam.put_group_policy(GroupName="kept", PolicyName="own", PolicyDocument=allow("s3:*"))
    iam.add_user_to_group(UserName="kept", GroupName="kept")
    iam.create_role(RoleName="kept", AssumeRolePolicyDocument=trust(), Description="d")
    iam.put_role_policy(RoleName="kept", PolicyName="own", PolicyDocument=allow("s3:*"))
    iam.attach_role_policy(RoleName="kept", PolicyArn=arn)
    key = iam.create_access_key(UserName="kept")["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def test_everything_outlives_a_restart_and_a_kill(start_region: Any) -> None:
    region = start_region()
    key = fill(region)
    region.client("sts", **key).get_caller_identity()
    before = everything(region)
    region.restart()
    assert everything(region) == before
    assert region.client("sts", **key).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/kept"
    region.client("iam").update_role_description(RoleName="kept", Description="changed")
    region.kill()
    region.start()
    after = everything(region)
    before["role"]["Role"]["Description"] = "changed"
    assert {**after, "last use": None} == {**before, "last use": None}


def test_uses_of_keys_that_are_gone_are_forgotten_at_the_next_start(start_region: Any) -> None:
    region = start_region()
    key = fill(region)
    region.client("sts", **key).get_caller_identity()
    region.client("iam").delete_access_key(UserName="kept", AccessKeyId=key["aws_access_key_id"])
    region.stop()
    assert uses(region) == [key["aws_access_key_id"]]
    region.start()
    assert uses(region) == []


def uses(region: Any) -> list[str]:
    with contextlib.closing(sqlite3.connect(region.data_dir / "region.db")) as database:
        return [row[0] for row in database.execute("SELECT id FROM iam_key_uses")]


def test_what_was_acknowledged_before_a_kill_is_there_and_whole(start_region: Any) -> None:
    region = start_region()
    arn = region.client("iam").create_policy(PolicyName="p", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    acknowledged: list[tuple[str, str]] = []

    def work(worker: int) -> None:
        iam = region.client("iam", config=Config(retries={"total_max_attempts": 1}))
        with contextlib.suppress(EndpointConnectionError, ConnectionClosedError, ReadTimeoutError):
            for number in itertools.count():
                name = f"r-{worker}-{number}"
                iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust())
                acknowledged.append((name, "created"))
                iam.attach_role_policy(RoleName=name, PolicyArn=arn)
                acknowledged.append((name, "attached"))
                iam.create_user(UserName=name)
                key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
                acknowledged.append((name, key))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) > 60, 20, "some changes")
    region.kill()
    for thread in threads:
        thread.join()
    region.start()

    iam = region.client("iam")
    roles = {role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]}
    attached = {name for name in roles if iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]}
    assert {name for name, what in acknowledged if what == "created"} <= roles
    assert {name for name, what in acknowledged if what == "attached"} <= attached & roles
    for name, key in acknowledged:
        if key.startswith("AKIA"):
            assert [one["AccessKeyId"] for one in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]] == [key]
    # The index says what the documents say: the attachments of the policy, and of those that every role begins with.
    listed = iam.list_entities_for_policy(PolicyArn=arn, MaxItems=1000)["PolicyRoles"]
    with_it = {name for name in attached if name.startswith("r-")}
    assert {role["RoleName"] for role in listed} == with_it
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == len(with_it)


def test_a_reset_leaves_nobody(start_region: Any) -> None:
    region = start_region()
    key = fill(region)
    region.reset()
    iam = region.client("iam")
    assert iam.list_users()["Users"] == []
    assert iam.list_policies(Scope="Local")["Policies"] == []
    with refused(*no_such("role", "kept")):
        iam.get_role(RoleName="kept")
    with refused("InvalidClientTokenId", None, 403):
        region.client("sts", **key).get_caller_identity()
    assert iam.get_policy(PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")["Policy"]["AttachmentCount"] == 0
    # And everything can be made anew under the same names.
    fill(region)
