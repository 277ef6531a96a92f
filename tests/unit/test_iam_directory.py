"""What authorization is told of users and roles, and that it is replaced exactly where something behind it changed."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from lambent.context import Caller, Session
from lambent.identity.policy import Effect, Question, combine
from lambent.identity.principals import Grants
from lambent.services.iam.directory import Directory
from lambent.services.iam.domain import AccessKey, Group, ManagedPolicy, PolicyVersion, Role, User
from lambent.storage.secrets import SecretBox, SecretError

ACCOUNT = "123456789012"
replace = msgspec.structs.replace


def document(action: str, effect: str = "Allow") -> str:
    statement = {"Effect": effect, "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(**statement: object) -> str:
    given = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**given, **statement}]})


def user(**fields: object) -> User:
    given = {"account": ACCOUNT, "name": "ada", "path": "/team/", "id": "AIDAADA", "created": 1, **fields}
    return User(**given)  # type: ignore[arg-type]


def group(**fields: object) -> Group:
    given = {"account": ACCOUNT, "name": "team", "path": "/", "id": "AGPATEAM", "created": 1, **fields}
    return Group(**given)  # type: ignore[arg-type]


def role(**fields: object) -> Role:
    given = {"account": ACCOUNT, "name": "worker", "path": "/", "id": "AROAWORKER", "created": 1, "trust": trust()}
    return Role(**{**given, **fields})  # type: ignore[arg-type]


def policy(action: str, name: str = "shared") -> ManagedPolicy:
    version = PolicyVersion(number=1, document=document(action), created=1)
    return ManagedPolicy(
        account=ACCOUNT, name=name, path="/", id=f"ANPA{name}", created=1, updated=1, versions=(version,)
    )


def caller(of: User | Role, kind: str = "user", user_id: str = "") -> Caller:
    return Caller(ACCOUNT, of.arn, user_id or of.id, "AKIA", kind=kind, name=of.name, principal_arn=of.arn)


@pytest.fixture
def box(tmp_path: Path) -> SecretBox:
    return SecretBox(tmp_path / "secret.key")


@pytest.fixture
def directory(box: SecretBox) -> Directory:
    return Directory(box)


def allowed(grants: Grants, *actions: str) -> list[bool]:
    return [combine(grants.identity, Question(action, "*")).effect is Effect.ALLOW for action in actions]


def test_a_user_has_its_own_policies_and_those_of_its_groups(directory: Directory) -> None:
    shared = policy("s3:*")
    directory.put(shared)
    directory.put(group(inline={"g": document("sqs:*")}, attached=(shared.arn,)))
    directory.put(user(inline={"u": document("sns:*")}, groups=("AGPATEAM",), tags={"team": "a"}))
    grants = directory.grants(caller(user()))
    assert allowed(grants, "sns:Publish", "sqs:SendMessage", "s3:GetObject", "logs:PutLogEvents") == [True] * 3 + [
        False
    ]
    assert grants.tags == {"team": "a"}
    assert grants.boundary is None
    assert directory.grants(caller(user())) is grants


def test_every_change_behind_a_grant_replaces_it_and_no_other_does(directory: Directory) -> None:
    shared = policy("s3:*")
    bound = policy("*", "bound")
    for entity in (shared, bound, group()):
        directory.put(entity)
    ada = user(groups=("AGPATEAM",), boundary=bound.arn)
    directory.put(ada)
    directory.put(role(attached=(shared.arn,)))
    seen = [directory.grants(caller(ada))]

    def changed() -> bool:
        seen.append(directory.grants(caller(ada)))
        return seen[-1] is not seen[-2]

    directory.put(role(attached=(shared.arn,), inline={"i": document("sqs:*")}))
    directory.put(user(name="eve", id="AIDAEVE"))
    directory.remove(user(name="eve", id="AIDAEVE"))
    assert not changed()
    directory.put(group(attached=(shared.arn,)))
    assert changed()
    directory.put(replace(shared, versions=(PolicyVersion(number=1, document=document("sqs:*"), created=1),)))
    assert changed()
    assert allowed(seen[-1], "s3:GetObject", "sqs:SendMessage") == [False, True]
    directory.put(replace(bound, versions=(PolicyVersion(number=1, document=document("sqs:Get*"), created=1),)))
    assert changed()
    assert seen[-1].boundary is not None
    directory.put(replace(ada, tags={"a": "b"}))
    assert changed()
    directory.remove(group())
    assert changed()
    assert allowed(seen[-1], "sqs:SendMessage") == [False]


def test_other_accounts_do_not_notice(directory: Directory) -> None:
    directory.put(user())
    grants = directory.grants(caller(user()))
    directory.put(group(account="210987654321"))
    assert directory.grants(caller(user())) is grants


def test_whoever_is_gone_may_nothing_even_under_a_new_holder_of_the_name(directory: Directory) -> None:
    old = role(inline={"i": document("*")})
    session = caller(old, "role", f"{old.id}:session")
    directory.put(old)
    assert allowed(directory.grants(session), "s3:GetObject") == [True]
    directory.remove(old)
    assert allowed(directory.grants(session), "s3:GetObject") == [False]
    assert directory.role(old.arn) is None
    directory.put(role(id="AROANEW", inline={"i": document("*")}))
    assert allowed(directory.grants(session), "s3:GetObject") == [False]
    assert allowed(directory.grants(caller(role(), "role", "AROANEW:session")), "s3:GetObject") == [True]


def test_a_renamed_user_is_found_by_its_new_name_alone(directory: Directory, box: SecretBox) -> None:
    ada = user(access_keys=(AccessKey(id="AKIA1", sealed=box.seal(b"secret"), created=1),))
    directory.put(ada)
    renamed = replace(ada, name="lovelace")
    directory.put(renamed)
    found = directory.find_key("AKIA1")
    assert found is not None
    assert (found.caller.arn, found.caller.name, found.secret_access_key) == (renamed.arn, "lovelace", "secret")
    assert directory.find(ada.arn) is None


def test_keys_count_while_they_are_active(directory: Directory, box: SecretBox) -> None:
    keys = [AccessKey(id=f"AKIA{n}", sealed=box.seal(b"s"), created=1, active=n == 1) for n in range(3)]
    ada = user(access_keys=tuple(keys))
    directory.put(ada)
    assert [directory.find_key(key.id) is not None for key in keys] == [False, True, False]
    assert directory.user_of_key("AKIA0") is ada
    directory.remove(ada)
    assert directory.find_key("AKIA1") is None


def test_keys_sealed_elsewhere_are_told(directory: Directory, tmp_path: Path) -> None:
    other = SecretBox(tmp_path / "other.key")
    with pytest.raises(SecretError):
        directory.put(user(access_keys=(AccessKey(id="AKIA1", sealed=other.seal(b"s"), created=1),)))


def test_federated_users_have_what_whoever_let_them_in_has(directory: Directory) -> None:
    directory.put(user(inline={"u": document("sns:*")}))
    guest = msgspec.structs.replace(
        caller(user(), "federated", f"{ACCOUNT}:guest"), session=Session("guest", issuer_id=user().id)
    )
    assert allowed(directory.grants(guest), "sns:Publish") == [True]
    # Whoever takes the name of one who is gone has not let them in.
    directory.put(user(id="AIDANEW", inline={"u": document("sns:*")}))
    assert allowed(directory.grants(guest), "sns:Publish") == [False]
    assert allowed(directory.grants(Caller.root(ACCOUNT, "AKIA")), "sns:Publish") == [False]


def test_roles_say_whom_they_trust(directory: Directory) -> None:
    directory.put(role(max_session_s=7200, tags={"a": "b"}))
    arn = role().arn
    facts = directory.role(arn)
    assert facts is not None
    assert (facts.role_id, facts.max_session_s, facts.tags) == ("AROAWORKER", 7200, {"a": "b"})
    assert directory.role(arn) is facts
    assert directory.can_be_assumed_by(arn, "lambda.amazonaws.com")
    assert not directory.can_be_assumed_by(arn, "ec2.amazonaws.com")
    assert not directory.can_be_assumed_by(f"{arn}-not", "lambda.amazonaws.com")
    directory.put(role(trust=trust(Effect="Deny")))
    assert not directory.can_be_assumed_by(arn, "lambda.amazonaws.com")
    own = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    directory.put(role(trust=trust(Condition=own)))
    assert directory.can_be_assumed_by(arn, "lambda.amazonaws.com")
    # The path is part of a role's name.
    directory.put(role(path="/elsewhere/"))
    assert not directory.can_be_assumed_by(arn, "lambda.amazonaws.com")


def test_managed_policies_are_those_of_the_account_and_of_aws(directory: Directory) -> None:
    shared = policy("s3:*")
    directory.put(shared)
    compiled = directory.managed_policy(shared.arn)
    assert compiled is not None
    assert directory.managed_policy(shared.arn) is compiled
    directory.put(replace(shared, description="other"))
    assert directory.managed_policy(shared.arn) is not compiled
    assert directory.managed_policy("arn:aws:iam::aws:policy/AdministratorAccess") is not None
    assert directory.managed_policy(f"arn:aws:iam::{ACCOUNT}:policy/nothing") is None
    assert directory.managed_policy(user().arn) is None
