"""AssumeRole: who gets in, what the session may then do, and for how long."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sts_support import ACCOUNT, allow, document, refusal, role, trusting, user, with_key

ASSUME = allow("sts:*")


@pytest.fixture(scope="module")
def admin(region: Any) -> Any:
    """A client of STS whose user may assume whatever trusts it."""
    return user(region, "assumer", ASSUME)


def test_a_session_is_who_its_role_and_name_say(region: Any, admin: Any) -> None:
    arn = role(region, "worker-a", policy=allow("iam:ListUsers"))
    role_id = region.client("iam").get_role(RoleName="worker-a")["Role"]["RoleId"]
    answer = admin.assume_role(RoleArn=arn, RoleSessionName="night-shift")
    assert answer["AssumedRoleUser"] == {
        "AssumedRoleId": f"{role_id}:night-shift",
        "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/worker-a/night-shift",
    }
    assert "PackedPolicySize" not in answer
    assert answer["SessionTokenSize"] == len(answer["Credentials"]["SessionToken"])
    assert 3590 < answer["Credentials"]["Expiration"].timestamp() - time.time() <= 3600
    who = with_key(region, "sts", answer["Credentials"]).get_caller_identity()
    assert (who["UserId"], who["Arn"], who["Account"]) == (
        f"{role_id}:night-shift",
        answer["AssumedRoleUser"]["Arn"],
        ACCOUNT,
    )
    iam = with_key(region, "iam", answer["Credentials"])
    assert iam.list_users()["Users"]
    with pytest.raises(ClientError) as error:
        iam.list_roles()
    assert refusal(error)[1].startswith(
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/worker-a/night-shift is not authorized to perform: iam:ListRoles"
    )


def test_whom_the_role_does_not_trust_and_whom_nobody_allows_is_refused_in_aws_words(region: Any, admin: Any) -> None:
    closed = role(region, "closed", trusting({"Service": "lambda.amazonaws.com"}))
    nobody = user(region, "nobody")
    missing = f"arn:aws:iam::{ACCOUNT}:role/missing"
    open_arn = role(region, "open-to-account")
    for client, name, arn in ((admin, "assumer", closed), (admin, "assumer", missing), (nobody, "nobody", open_arn)):
        with pytest.raises(ClientError) as error:
            client.assume_role(RoleArn=arn, RoleSessionName="mine")
        text = (
            f"User: arn:aws:iam::{ACCOUNT}:user/{name} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        )
        assert refusal(error) == ("AccessDenied", text)
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_role_that_names_a_user_needs_no_policy_of_the_users(region: Any) -> None:
    named = user(region, "named")
    arn = role(region, "for-named", trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/named"}))
    assert named.assume_role(RoleArn=arn, RoleSessionName="mine")["Credentials"]


def test_the_root_of_an_account_assumes_no_role(region: Any) -> None:
    arn = role(region, "not-for-root")
    with pytest.raises(ClientError) as error:
        region.client("sts").assume_role(RoleArn=arn, RoleSessionName="mine")
    assert refusal(error) == ("AccessDenied", "Roles may not be assumed by root accounts.")


def test_the_external_id_must_be_the_one_that_the_role_asks_for(region: Any, admin: Any) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "secret-7"}}
    arn = role(region, "third-party", trusting({"AWS": ACCOUNT}, condition=condition))
    assert admin.assume_role(RoleArn=arn, RoleSessionName="mine", ExternalId="secret-7")
    for given in ({}, {"ExternalId": "secret-8"}):
        with pytest.raises(ClientError) as error:
            admin.assume_role(RoleArn=arn, RoleSessionName="mine", **given)
        assert refusal(error)[0] == "AccessDenied"


def test_policies_may_let_assume_roles_by_their_tags(region: Any) -> None:
    tagged = {"StringEquals": {"aws:ResourceTag/team": "blue"}}
    client = user(region, "by-tag", allow("sts:AssumeRole", Condition=tagged))
    blue = role(region, "blue", Tags=[{"Key": "Team", "Value": "blue"}])
    assert client.assume_role(RoleArn=blue, RoleSessionName="mine")["Credentials"]
    with pytest.raises(ClientError) as error:
        client.assume_role(RoleArn=role(region, "red", Tags=[{"Key": "Team", "Value": "red"}]), RoleSessionName="mine")
    assert refusal(error)[0] == "AccessDenied"


def test_a_session_policy_limits_and_never_grants(region: Any, admin: Any) -> None:
    arn = role(region, "limited", policy=allow("iam:ListUsers", "iam:ListGroups"))
    answer = admin.assume_role(
        RoleArn=arn, RoleSessionName="mine", Policy=allow("iam:ListUsers", "iam:ListRoles"), DurationSeconds=900
    )
    assert 0 < answer["PackedPolicySize"] < 100
    iam = with_key(region, "iam", answer["Credentials"])
    assert iam.list_users()["Users"]
    for call, reason in ((iam.list_groups, "no session policy allows"), (iam.list_roles, "no identity-based policy")):
        with pytest.raises(ClientError) as error:
            call()
        assert reason in refusal(error)[1]


def test_managed_session_policies_limit_too_and_must_exist(region: Any, admin: Any) -> None:
    arn = role(region, "managed-limit", policy=allow("*"))
    read_only = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    answer = admin.assume_role(RoleArn=arn, RoleSessionName="mine", PolicyArns=[{"arn": read_only}])
    iam = with_key(region, "iam", answer["Credentials"])
    assert iam.list_users()["Users"]
    with pytest.raises(ClientError) as error:
        iam.create_user(UserName="never")
    assert "no session policy allows the iam:CreateUser action" in refusal(error)[1]
    with pytest.raises(ClientError) as error:
        admin.assume_role(RoleArn=arn, RoleSessionName="mine", PolicyArns=[{"arn": f"{read_only}x"}])
    assert refusal(error)[0] == "ValidationError"


def test_a_malformed_session_policy_is_refused(region: Any, admin: Any) -> None:
    arn = role(region, "any-policy")
    with pytest.raises(ClientError) as error:
        admin.assume_role(RoleArn=arn, RoleSessionName="mine", Policy="{}")
    assert refusal(error)[0] == "MalformedPolicyDocument"


def test_policies_and_tags_that_do_not_pack_are_too_large(region: Any, admin: Any) -> None:
    arn = role(region, "too-large")
    many = [f"arn:aws:s3:::{hash(str(n)) & 0xFFFFFFFFFFFF:012x}/*" for n in range(150)]
    with pytest.raises(ClientError) as error:
        admin.assume_role(
            RoleArn=arn,
            RoleSessionName="mine",
            Policy=document({"Effect": "Allow", "Action": "s3:*", "Resource": many}),
        )
    code, message = refusal(error)
    assert code == "PackedPolicyTooLarge"
    assert message.startswith("Packed policy consumes 1")
    assert message.endswith("% of allotted space, please use smaller policy.")


@pytest.mark.parametrize(("seconds", "allowed"), [(900, True), (7200, True), (7201, False)])
def test_a_session_is_no_longer_than_its_role_lets_it_be(region: Any, admin: Any, seconds: int, allowed: bool) -> None:
    arn = role(region, f"long-{seconds}", MaxSessionDuration=7200)
    if allowed:
        answer = admin.assume_role(RoleArn=arn, RoleSessionName="mine", DurationSeconds=seconds)
        assert seconds - 10 < answer["Credentials"]["Expiration"].timestamp() - time.time() <= seconds
        return
    with pytest.raises(ClientError) as error:
        admin.assume_role(RoleArn=arn, RoleSessionName="mine", DurationSeconds=seconds)
    text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    assert refusal(error) == ("ValidationError", text)


def test_a_chain_of_roles_lasts_an_hour_and_keeps_transitive_tags_and_the_source_identity(
    region: Any, admin: Any
) -> None:
    first = role(region, "chain-1", policy=ASSUME, MaxSessionDuration=43200)
    tagged = allow("iam:ListUsers", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}})
    second = role(region, "chain-2", policy=tagged, MaxSessionDuration=43200)
    answer = admin.assume_role(
        RoleArn=first,
        RoleSessionName="one",
        Tags=[{"Key": "team", "Value": "blue"}, {"Key": "stage", "Value": "x"}],
        TransitiveTagKeys=["team"],
        SourceIdentity="ada",
    )
    assert answer["SourceIdentity"] == "ada"
    chained = with_key(region, "sts", answer["Credentials"])
    with pytest.raises(ClientError) as error:
        chained.assume_role(RoleArn=second, RoleSessionName="two", DurationSeconds=3601)
    assert refusal(error) == (
        "ValidationError",
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
    )
    with pytest.raises(ClientError) as error:
        chained.assume_role(RoleArn=second, RoleSessionName="two", Tags=[{"Key": "TEAM", "Value": "red"}])
    assert refusal(error)[0] == "InvalidParameterValue"
    with pytest.raises(ClientError) as error:
        chained.assume_role(RoleArn=second, RoleSessionName="two", SourceIdentity="eve")
    assert refusal(error)[1] == "The source identity is already set for this assume role session"
    for number, action in enumerate(("sts:SetSourceIdentity", "sts:TagSession")):
        closed = role(region, f"chain-closed-{number}", trusting({"AWS": ACCOUNT}, "sts:AssumeRole", action))
        with pytest.raises(ClientError) as error:
            chained.assume_role(RoleArn=closed, RoleSessionName="two")
        missing = ("sts:TagSession", "sts:SetSourceIdentity")[number]
        assert f"is not authorized to perform: {missing} on resource: {closed}" in refusal(error)[1]
    last = chained.assume_role(RoleArn=second, RoleSessionName="two")
    assert last["SourceIdentity"] == "ada"
    assert with_key(region, "iam", last["Credentials"]).list_users()["Users"]


@pytest.mark.parametrize(
    ("tags", "transitive", "text"),
    [
        (["a", "A"], [], "Duplicate tag keys found. Please note that Tag keys are case insensitive."),
        (["a"], ["b"], "The specified transitive tag key must be included in the requested tags."),
    ],
)
def test_session_tags_are_checked(region: Any, admin: Any, tags: list[str], transitive: list[str], text: str) -> None:
    arn = role(region, f"tags-{len(tags)}")
    with pytest.raises(ClientError) as error:
        admin.assume_role(
            RoleArn=arn,
            RoleSessionName="mine",
            Tags=[{"Key": key, "Value": "v"} for key in tags],
            TransitiveTagKeys=transitive,
        )
    assert refusal(error) == ("InvalidParameterValue", text)


def test_tags_need_the_trust_policys_leave(region: Any, admin: Any) -> None:
    arn = role(region, "no-tags", trusting({"AWS": ACCOUNT}))
    with pytest.raises(ClientError) as error:
        admin.assume_role(RoleArn=arn, RoleSessionName="mine", Tags=[{"Key": "a", "Value": "b"}])
    text = f"User: arn:aws:iam::{ACCOUNT}:user/assumer is not authorized to perform: sts:TagSession on resource: {arn}"
    assert refusal(error) == ("AccessDenied", text)


def test_a_revoked_session_holds_no_more_and_a_new_one_does(region: Any, admin: Any) -> None:
    arn = role(region, "revoked", policy=allow("iam:ListUsers"))
    iam = region.client("iam")
    old = with_key(region, "iam", admin.assume_role(RoleArn=arn, RoleSessionName="old")["Credentials"])
    assert old.list_users()["Users"]
    # What the console's "Revoke active sessions" writes, with a moment to come.
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    older = document({**deny, "Condition": {"DateLessThan": {"aws:TokenIssueTime": before}}})
    iam.put_role_policy(RoleName="revoked", PolicyName="AWSRevokeOlderSessions", PolicyDocument=older)
    with pytest.raises(ClientError) as error:
        old.list_users()
    assert "with an explicit deny in an identity-based policy" in refusal(error)[1]
    past = older.replace(before, "2020-01-01T00:00:00Z")
    iam.put_role_policy(RoleName="revoked", PolicyName="AWSRevokeOlderSessions", PolicyDocument=past)
    assert old.list_users()["Users"]


def test_the_session_of_a_deleted_role_may_nothing_and_not_either_when_one_is_made_anew(
    region: Any, admin: Any
) -> None:
    arn = role(region, "gone", policy=allow("iam:*"))
    session = admin.assume_role(RoleArn=arn, RoleSessionName="mine")["Credentials"]
    iam = region.client("iam")
    iam.delete_role_policy(RoleName="gone", PolicyName="own")
    iam.delete_role(RoleName="gone")
    holder = with_key(region, "iam", session)
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            holder.list_users()
        assert refusal(error)[0] == "AccessDenied"
        if _ == 0:
            role(region, "gone", policy=allow("iam:*"))


def test_what_is_not_served_is_refused_rather_than_ignored(region: Any, admin: Any) -> None:
    arn = role(region, "second-factor")
    with pytest.raises(ClientError) as error:
        admin.assume_role(
            RoleArn=arn, RoleSessionName="mine", SerialNumber=f"arn:aws:iam::{ACCOUNT}:mfa/x", TokenCode="123456"
        )
    code, message = refusal(error)
    assert code == "AccessDenied"
    assert message.startswith("MultiFactorAuthentication failed, unable to validate MFA code.")
    with pytest.raises(ClientError) as error:
        admin.assume_role(RoleArn="arn:aws:iam::000000000000:user/x", RoleSessionName="mine")
    assert refusal(error)[0] in ("ValidationError", "AccessDenied")


def test_a_token_is_as_long_as_was_asked_for(region: Any, admin: Any) -> None:
    arn = role(region, "long-token")
    answer = admin.assume_role(RoleArn=arn, RoleSessionName="mine", MinimumSessionTokenSize=3000)
    token = answer["Credentials"]["SessionToken"]
    assert 3000 <= len(token) == answer["SessionTokenSize"] <= 3100
    assert answer["SessionTokenUtilization"] == len(token) * 100 // 4096
    assert with_key(region, "sts", answer["Credentials"]).get_caller_identity()


def test_tampered_tokens_and_tokens_of_other_keys_are_nobodys(region: Any, admin: Any) -> None:
    arn = role(region, "tampered")
    one = admin.assume_role(RoleArn=arn, RoleSessionName="one")["Credentials"]
    two = admin.assume_role(RoleArn=arn, RoleSessionName="two")["Credentials"]
    changed = "A" if one["SessionToken"][40] != "A" else "B"
    token = one["SessionToken"]
    for credentials in (
        {**one, "SessionToken": two["SessionToken"]},
        {**one, "SessionToken": token[:40] + changed + token[41:]},
        {**one, "SessionToken": token[:-8]},
        {key: value for key, value in one.items() if key != "SessionToken"},
    ):
        with pytest.raises(ClientError) as error:
            with_key(region, "sts", credentials).get_caller_identity()
        assert refusal(error)[0] == "InvalidClientTokenId"


@pytest.mark.slow
def test_without_authorization_any_role_is_assumed_by_anybody(start_region: Any) -> None:
    region = start_region("--auth", "off")
    sts = region.client("sts", aws_access_key_id="test", aws_secret_access_key="test")
    arn = f"arn:aws:iam::{ACCOUNT}:role/nowhere/to-be-found"
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="mine", DurationSeconds=43200)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/to-be-found/mine"
    assert with_key(region, "sts", answer["Credentials"]).get_caller_identity()["Arn"].endswith("to-be-found/mine")
    with pytest.raises(ClientError) as error:
        sts.assume_role(RoleArn="arn:aws:iam::111122223333:role/theirs", RoleSessionName="mine")
    assert refusal(error)[0] == "AccessDenied"
