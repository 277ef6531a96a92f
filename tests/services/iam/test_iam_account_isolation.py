"""Two accounts under the same names: neither sees, changes or uses what is the other's."""

from __future__ import annotations

from typing import Any

import pytest
from iam_helpers import allow, no_such, refused, trust

#: A key of twelve digits is the account's of that number.
REGION_OPTIONS = ("--auth", "off")
ONE, OTHER = "111111111111", "222222222222"


@pytest.fixture(scope="module")
def accounts(region: Any) -> dict[str, Any]:
    """A client in each, where the same names stand for something."""
    clients = {}
    for account in (ONE, OTHER):
        iam = region.client("iam", aws_access_key_id=account, aws_secret_access_key="any")
        iam.create_user(UserName="same", Path=f"/{account}/")
        iam.create_group(GroupName="same")
        iam.add_user_to_group(UserName="same", GroupName="same")
        iam.create_role(RoleName="same", AssumeRolePolicyDocument=trust())
        iam.create_policy(PolicyName="same", PolicyDocument=allow("s3:*"))
        clients[account] = iam
    return clients


def test_lists_and_arns_are_the_accounts_own(accounts: dict[str, Any]) -> None:
    for account, iam in accounts.items():
        found = [
            *iam.list_users()["Users"],
            *iam.list_groups()["Groups"],
            *iam.list_roles()["Roles"],
            *iam.list_policies(Scope="Local")["Policies"],
            *iam.get_group(GroupName="same")["Users"],
            *iam.list_groups_for_user(UserName="same")["Groups"],
        ]
        assert {one["Arn"].split(":")[4] for one in found} == {account}
        assert len(found) == 6


def test_changes_stay_in_their_account(accounts: dict[str, Any]) -> None:
    accounts[ONE].update_user(UserName="same", NewUserName="another")
    accounts[ONE].delete_role(RoleName="same")
    assert accounts[OTHER].get_user(UserName="same")["User"]["Path"] == f"/{OTHER}/"
    accounts[OTHER].get_role(RoleName="same")
    with refused(*no_such("role", "same")):
        accounts[ONE].get_role(RoleName="same")


def test_policies_and_keys_of_the_other_are_not_there(accounts: dict[str, Any]) -> None:
    arn = f"arn:aws:iam::{ONE}:policy/same"
    with refused("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", 404):
        accounts[OTHER].attach_role_policy(RoleName="same", PolicyArn=arn)
    with refused("NoSuchEntity", f"Policy {arn} was not found.", 404):
        accounts[OTHER].delete_policy(PolicyArn=arn)
    with refused("NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.", 404):
        accounts[OTHER].put_role_permissions_boundary(RoleName="same", PermissionsBoundary=arn)
    accounts[ONE].create_user(UserName="keeper")
    key = accounts[ONE].create_access_key(UserName="keeper")["AccessKey"]["AccessKeyId"]
    with refused("AccessDenied", None, 403):
        accounts[OTHER].get_access_key_last_used(AccessKeyId=key)
    accounts[OTHER].create_user(UserName="keeper")
    with refused("NoSuchEntity", f"The Access Key with id {key} cannot be found.", 404):
        accounts[OTHER].delete_access_key(UserName="keeper", AccessKeyId=key)
