"""GetSessionToken and GetFederationToken, what their holders may do; keys and messages that STS reads."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sts_support import ACCOUNT, allow, refusal, role, user, with_key

from lambent.clock import SystemClock
from lambent.context import Session
from lambent.identity.messages import AuthorizationMessages
from lambent.identity.sessions import SessionTokens, session_caller
from lambent.storage.secrets import SecretBox


@pytest.fixture(scope="module")
def ada(region: Any) -> Any:
    return user(region, "ada", allow("sts:*", "logs:*"))


def test_a_session_of_ones_own_is_oneself_for_a_while(region: Any, ada: Any) -> None:
    answer = ada.get_session_token()
    lifetime = answer["Credentials"]["Expiration"].timestamp() - time.time()
    assert 43190 < lifetime <= 43200
    mine = with_key(region, "sts", answer["Credentials"])
    assert mine.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ada"
    assert with_key(region, "logs", answer["Credentials"]).describe_log_groups()["logGroups"] == []
    for call, name in ((mine.get_session_token, "GetSessionToken"), (lambda: federated(mine), "GetFederationToken")):
        with pytest.raises(ClientError) as error:
            call()
        assert refusal(error) == ("AccessDenied", f"Cannot call {name} with session credentials")
    arn = role(region, "by-token")
    assert mine.assume_role(RoleArn=arn, RoleSessionName="mine")["Credentials"]


def federated(client: Any, **options: Any) -> Any:
    return client.get_federation_token(Name="guest", **options)


def test_iam_takes_no_session_without_a_second_factor(region: Any, ada: Any) -> None:
    for answer in (ada.get_session_token(), federated(ada, Policy=allow("*"))):
        with pytest.raises(ClientError) as error:
            with_key(region, "iam", answer["Credentials"]).list_users()
        text = "The security token included in the request is invalid."
        assert refusal(error) == ("InvalidClientTokenId", text)


def test_a_roots_session_lasts_an_hour_at_most(region: Any) -> None:
    answer = region.client("sts").get_session_token(DurationSeconds=7200)
    assert answer["Credentials"]["Expiration"].timestamp() - time.time() <= 3600
    mine = with_key(region, "sts", answer["Credentials"])
    assert mine.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_a_federated_user_may_what_both_its_policy_and_its_user_may(region: Any, ada: Any) -> None:
    answer = federated(ada, Policy=allow("logs:DescribeLogGroups", "lambda:*"), DurationSeconds=900)
    assert answer["FederatedUser"] == {
        "FederatedUserId": f"{ACCOUNT}:guest",
        "Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/guest",
    }
    assert answer["PackedPolicySize"] > 0
    assert with_key(region, "sts", answer["Credentials"]).get_caller_identity()["UserId"] == f"{ACCOUNT}:guest"
    assert with_key(region, "logs", answer["Credentials"]).describe_log_groups()["logGroups"] == []
    with pytest.raises(ClientError):
        with_key(region, "logs", answer["Credentials"]).create_log_group(logGroupName="never")
    with pytest.raises(ClientError):
        with_key(region, "lambda", answer["Credentials"]).list_functions()
    with pytest.raises(ClientError) as error:
        with_key(region, "sts", answer["Credentials"]).assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/any", RoleSessionName="mine"
        )
    assert refusal(error)[0] == "AccessDenied"


def test_a_federated_user_without_a_policy_may_nothing_and_one_of_root_what_its_policy_says(
    region: Any, ada: Any
) -> None:
    with pytest.raises(ClientError):
        with_key(region, "logs", federated(ada)["Credentials"]).describe_log_groups()
    of_root = federated(region.client("sts"), Policy=allow("logs:*"))["Credentials"]
    assert with_key(region, "logs", of_root).describe_log_groups()["logGroups"] == []
    with pytest.raises(ClientError):
        with_key(region, "lambda", of_root).list_functions()


def test_tags_of_a_federated_user_need_leave_and_count_in_policies(region: Any, ada: Any) -> None:
    tags = [{"Key": "team", "Value": "blue"}]
    blue = {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    session = federated(ada, Policy=allow("logs:*", Condition=blue), Tags=tags)["Credentials"]
    assert with_key(region, "logs", session).describe_log_groups()["logGroups"] == []
    plain = user(region, "plain", allow("sts:GetFederationToken"))
    with pytest.raises(ClientError) as error:
        federated(plain, Policy=allow("*"), Tags=tags)
    assert "is not authorized to perform: sts:TagSession" in refusal(error)[1]


def test_tokens_of_a_deleted_user_may_nothing(region: Any) -> None:
    iam = region.client("iam")
    client = user(region, "leaver", allow("*"))
    tokens = [client.get_session_token()["Credentials"], federated(client, Policy=allow("*"))["Credentials"]]
    for credentials in tokens:
        assert with_key(region, "logs", credentials).describe_log_groups()["logGroups"] == []
    (key,) = iam.list_access_keys(UserName="leaver")["AccessKeyMetadata"]
    iam.delete_access_key(UserName="leaver", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="leaver", PolicyName="own")
    iam.delete_user(UserName="leaver")
    with pytest.raises(ClientError) as error:
        client.get_caller_identity()
    assert refusal(error)[0] == "InvalidClientTokenId"
    # Somebody else of that name is nobody that these tokens are of.
    for _ in range(2):
        for credentials in tokens:
            with pytest.raises(ClientError) as error:
                with_key(region, "logs", credentials).describe_log_groups()
            assert refusal(error)[0] == "AccessDeniedException"
        if _ == 0:
            user(region, "leaver", allow("*"))


def test_not_even_resources_let_in_whoever_is_gone_and_shared_its_name(region: Any) -> None:
    functions, iam = region.client("lambda"), region.client("iam")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", "def handler(event, context):\n    return 1\n")
    client = user(region, "namesake", allow("sts:GetSessionToken"))
    runner = f"arn:aws:iam::{ACCOUNT}:role/worker"
    functions.create_function(
        FunctionName="open",
        Runtime="python3.12",
        Role=runner,
        Handler="main.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="open", WaiterConfig={"Delay": 0.05})
    functions.add_permission(
        FunctionName="open",
        StatementId="namesake",
        Action="lambda:InvokeFunction",
        Principal=f"arn:aws:iam::{ACCOUNT}:user/namesake",
    )
    session = client.get_session_token()["Credentials"]
    holder = with_key(region, "lambda", session)
    assert holder.invoke(FunctionName="open")["StatusCode"] == 200
    (key,) = iam.list_access_keys(UserName="namesake")["AccessKeyMetadata"]
    iam.delete_access_key(UserName="namesake", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="namesake", PolicyName="own")
    iam.delete_user(UserName="namesake")
    namesake = user(region, "namesake", service="lambda")
    assert namesake.invoke(FunctionName="open")["StatusCode"] == 200
    with pytest.raises(ClientError) as error:
        holder.invoke(FunctionName="open")
    assert refusal(error)[0] == "AccessDeniedException"


def test_the_id_of_a_key_tells_its_account(region: Any, ada: Any) -> None:
    sts = region.client("sts")
    session = ada.get_session_token()["Credentials"]["AccessKeyId"]
    for access_key_id in (
        region.key.access_key,
        session,
        region.client("iam").list_access_keys(UserName="ada")["AccessKeyMetadata"][0]["AccessKeyId"],
    ):
        assert sts.get_access_key_info(AccessKeyId=access_key_id)["Account"] == ACCOUNT
    # Of no key at all: the id alone tells, as on AWS.
    assert sts.get_access_key_info(AccessKeyId="ASIAQNZGKIQY56JQ7WML")["Account"] == "029608264753"
    with pytest.raises(ClientError) as error:
        sts.get_access_key_info(AccessKeyId="AKIAIOSFODNN7EXAMPLE")
    assert refusal(error)[0] == "ValidationError"


def sealed(region: Any, purpose: str) -> bytes:
    return SecretBox(region.data_dir / "secret.key").derive(purpose)


def test_a_message_of_this_region_is_read_to_its_account_alone(region: Any, ada: Any) -> None:
    messages = AuthorizationMessages(sealed(region, "authorization messages"))
    document = {"allowed": False, "context": {"action": "lambda:InvokeFunction"}}
    answer = ada.decode_authorization_message(EncodedMessage=messages.encode(ACCOUNT, document))
    assert json.loads(answer["DecodedMessage"]) == document
    for text in (messages.encode("111122223333", document), "no message", messages.encode(ACCOUNT, document)[:-4]):
        with pytest.raises(ClientError) as error:
            ada.decode_authorization_message(EncodedMessage=text)
        assert refusal(error)[0] == "InvalidAuthorizationMessageException"


def test_an_expired_session_is_told_so(region: Any) -> None:
    past = SystemClock()
    tokens = SessionTokens(sealed(region, "session tokens"), past)
    caller = session_caller(f"arn:aws:iam::{ACCOUNT}:role/any", "", Session("mine"))
    issued = tokens.issue(caller, -1)
    credentials = {
        "AccessKeyId": issued.access_key_id,
        "SecretAccessKey": issued.secret_access_key,
        "SessionToken": issued.session_token,
    }
    with pytest.raises(ClientError) as error:
        with_key(region, "sts", credentials).get_caller_identity()
    assert refusal(error) == ("ExpiredToken", "The security token included in the request is expired")


def test_an_unknown_action_is_answered_in_the_namespace_of_the_service(region: Any) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for service, version in (("sts", "2011-06-15"), ("iam", "2010-05-08")):
        body = f"Action=Unheard&Version={version}".encode()
        answer = region.request("POST", "/", body, form, sign=service)
        namespace = f'<ErrorResponse xmlns="https://{service}.amazonaws.com/doc/{version}/"><Error>'
        assert answer.status == 400
        assert answer.body.decode().startswith(namespace)
        assert f"<Message>Could not find operation Unheard for version {version}" in answer.body.decode()


@pytest.mark.slow
def test_sessions_outlive_a_kill(start_region: Any) -> None:
    region = start_region()
    client = user(region, "ada", allow("sts:*"))
    arn = role(region, "lasting", policy=allow("iam:ListUsers"))
    session = client.assume_role(RoleArn=arn, RoleSessionName="mine")["Credentials"]
    region.kill()
    region.start()
    assert [each["UserName"] for each in with_key(region, "iam", session).list_users()["Users"]] == ["ada"]
