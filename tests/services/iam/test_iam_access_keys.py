"""Access keys: made, told once, believed, switched off, deleted; sealed on disk."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from iam_helpers import ACCOUNT, allow, body, no_such, refused


@pytest.fixture
def user(iam: Any) -> str:
    name = f"user-{time.monotonic_ns()}"
    iam.create_user(UserName=name, Path="/keys/")
    return name


def credentials(key: dict[str, Any]) -> dict[str, str]:
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def test_a_key_is_told_once_and_signs_as_its_user(region: Any, iam: Any, user: str) -> None:
    key = iam.create_access_key(UserName=user)["AccessKey"]
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", key["AccessKeyId"])
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", key["SecretAccessKey"])
    listed = {name: value for name, value in key.items() if name != "SecretAccessKey"}
    assert listed == {
        "UserName": user,
        "AccessKeyId": key["AccessKeyId"],
        "Status": "Active",
        "CreateDate": key["CreateDate"],
    }
    assert body(iam.list_access_keys(UserName=user)) == {"AccessKeyMetadata": [listed], "IsTruncated": False}
    who = body(region.client("sts", **credentials(key)).get_caller_identity())
    found = iam.get_user(UserName=user)["User"]
    assert who == {"UserId": found["UserId"], "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/keys/{user}"}


def test_a_user_has_two_keys(iam: Any, user: str) -> None:
    keys = [iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"] for _ in range(2)]
    with refused("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2", 409):
        iam.create_access_key(UserName=user)
    assert {key["AccessKeyId"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]} == set(keys)
    iam.delete_access_key(UserName=user, AccessKeyId=keys[0])
    iam.create_access_key(UserName=user)


def test_a_key_counts_as_long_as_it_is_active(region: Any, iam: Any, user: str) -> None:
    key = iam.create_access_key(UserName=user)["AccessKey"]
    sts = region.client("sts", **credentials(key))
    sts.get_caller_identity()
    iam.update_access_key(UserName=user, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert iam.list_access_keys(UserName=user)["AccessKeyMetadata"][0]["Status"] == "Inactive"
    with refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403):
        sts.get_caller_identity()
    iam.update_access_key(UserName=user, AccessKeyId=key["AccessKeyId"], Status="Active")
    sts.get_caller_identity()
    iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    with refused("InvalidClientTokenId", None, 403):
        sts.get_caller_identity()


def test_a_key_follows_its_user_to_another_name(region: Any, iam: Any, user: str) -> None:
    key = iam.create_access_key(UserName=user)["AccessKey"]
    iam.update_user(UserName=user, NewUserName=f"{user}-renamed")
    arn = region.client("sts", **credentials(key)).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:user/keys/{user}-renamed"


def test_keys_are_their_users_alone(iam: Any, user: str) -> None:
    key = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    iam.create_user(UserName=f"{user}-other")
    message = f"The Access Key with id {key} cannot be found."
    with refused("NoSuchEntity", message, 404):
        iam.update_access_key(UserName=f"{user}-other", AccessKeyId=key, Status="Inactive")
    with refused("NoSuchEntity", message, 404):
        iam.delete_access_key(UserName=f"{user}-other", AccessKeyId=key)
    with refused(*no_such("user", "nobody")):
        iam.create_access_key(UserName="nobody")
    with refused("ValidationError", "Must specify userName when calling with non-User credentials", 400):
        iam.delete_access_key(AccessKeyId=key)


def test_the_secret_is_nowhere_on_disk(region: Any, iam: Any, user: str) -> None:
    secret = iam.create_access_key(UserName=user)["AccessKey"]["SecretAccessKey"].encode()
    files = [file for file in region.data_dir.rglob("*") if file.is_file()]
    assert any(user.encode() in file.read_bytes() for file in files)
    assert not any(secret in file.read_bytes() for file in files)


def test_a_user_need_not_name_itself(region: Any, iam: Any, user: str) -> None:
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=allow("iam:*"))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    own = region.client("iam", **credentials(key))
    assert own.get_user()["User"]["UserName"] == user
    second = own.create_access_key()["AccessKey"]
    assert (second["UserName"], len(own.list_access_keys()["AccessKeyMetadata"])) == (user, 2)
    own.update_access_key(AccessKeyId=second["AccessKeyId"], Status="Inactive")
    own.delete_access_key(AccessKeyId=second["AccessKeyId"])
    assert len(iam.list_access_keys(UserName=user)["AccessKeyMetadata"]) == 1


def test_the_last_use_of_a_key_is_kept(region: Any, iam: Any, user: str) -> None:
    key = iam.create_access_key(UserName=user)["AccessKey"]
    unused = body(iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"]))
    assert unused == {"UserName": user, "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}
    before = int(time.time())
    region.client("sts", **credentials(key), region_name="eu-west-3").get_caller_identity()
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("sts", "eu-west-3")
    assert before <= used["LastUsedDate"].timestamp() <= before + 5
    caller = f"arn:aws:iam::{ACCOUNT}:root"
    with refused(
        "AccessDenied",
        f"User: {caller} is not authorized to perform iam:GetAccessKeyLastUsed "
        "on resource: access key AKIAIOSFODNN7EXAMPLE",
        403,
    ):
        iam.get_access_key_last_used(AccessKeyId="AKIAIOSFODNN7EXAMPLE")
