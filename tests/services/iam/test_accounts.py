"""More than one account in a region: made by the operator alone, and each as if there were no other."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from iam_helpers import allow, refused, trust

OTHER = "111122223333"
THIRD = "222233334444"


class Tenant(NamedTuple):
    """One account by its root key."""

    id: str
    client: Callable[[str], Any]


def made(region: Any, account_id: str, name: str = "") -> dict[str, Any]:
    body = json.dumps({"id": account_id, "name": name}).encode()
    answer = region.request("POST", "/_lambent/accounts", body, sign="lambent")
    assert answer.status == 201, answer
    account: dict[str, Any] = answer.json()
    return account


def tenant(region: Any, account: dict[str, Any]) -> Tenant:
    def client(service: str) -> Any:
        return region.client(
            service,
            aws_access_key_id=account["access_key_id"],
            aws_secret_access_key=account["secret_access_key"],
        )

    return Tenant(account["id"], client)


@pytest.fixture(scope="module")
def other(region: Any) -> Tenant:
    return tenant(region, made(region, OTHER, "staging"))


@pytest.fixture(scope="module")
def first(region: Any) -> Tenant:
    return Tenant("000000000000", region.client)


# ---- made by the operator --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_root_key_of_a_new_account_is_believed_at_once_and_after_a_restart(start_region: Any) -> None:
    region = start_region()
    account = made(region, THIRD)
    assert tenant(region, account).client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{THIRD}:root"
    region.kill()
    region.start()
    assert tenant(region, account).client("sts").get_caller_identity()["Account"] == THIRD
    secret = account["secret_access_key"].encode()
    assert not any(secret in file.read_bytes() for file in region.data_dir.glob("region.db*"))
    region.reset()
    with refused("InvalidClientTokenId", status=403):
        tenant(region, account).client("sts").get_caller_identity()


def test_accounts_are_listed_without_their_secrets(region: Any, other: Tenant) -> None:
    answer = region.request("GET", "/_lambent/accounts", sign="lambent")
    listed = answer.json()["accounts"]
    assert [(each["id"], each["name"]) for each in listed] == [("000000000000", ""), (OTHER, "staging")]
    assert b"secret" not in answer.body


def test_nobody_but_the_operator_makes_accounts(region: Any, other: Tenant) -> None:
    assert region.request("POST", "/_lambent/accounts", b"{}").status == 403
    assert region.request("GET", "/_lambent/accounts").status == 403
    for body, status in (
        (b'{"id": "12"}', 400),
        (b"[]", 400),
        (b'{"x": 1}', 400),
        (f'{{"id": "{OTHER}"}}'.encode(), 409),
    ):
        assert region.request("POST", "/_lambent/accounts", body, sign="lambent").status == status


@pytest.mark.slow
def test_the_command_makes_and_lists_accounts(region: Any) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lambent.cli", "accounts", *arguments, "--data-dir", str(region.data_dir)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    created = run("create", "333344445555", "--name", "by-hand")
    assert created.returncode == 0, created.stderr
    assert "export AWS_SECRET_ACCESS_KEY=" in created.stdout
    again = run("create", "333344445555")
    assert (again.returncode, again.stderr) == (1, "lambent: There is an account 333344445555 already.\n")
    listed = run("list")
    assert "333344445555" in listed.stdout
    assert "by-hand" in listed.stdout
    assert "secret" not in listed.stdout.lower()


# ---- isolated ----------------------------------------------------------------------------------------------------


def package() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", "def handler(event, context):\n    return context.invoked_function_arn\n")
    return packed.getvalue()


@pytest.fixture(scope="module")
def furnished(region: Any, first: Tenant) -> Tenant:
    """The first account, with one of everything."""
    iam, functions, logs = first.client("iam"), first.client("lambda"), first.client("logs")
    iam.create_user(UserName="mine")
    iam.create_group(GroupName="mine")
    role = iam.create_role(RoleName="mine", AssumeRolePolicyDocument=trust())["Role"]["Arn"]
    iam.create_policy(PolicyName="mine", PolicyDocument=allow("s3:*"))
    iam.create_instance_profile(InstanceProfileName="mine")
    iam.create_account_alias(AccountAlias="mine")
    functions.create_function(
        FunctionName="mine", Runtime="python3.12", Role=role, Handler="main.handler", Code={"ZipFile": package()}
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="mine", WaiterConfig={"Delay": 0.05})
    functions.publish_version(FunctionName="mine")
    functions.create_alias(FunctionName="mine", Name="live", FunctionVersion="1")
    functions.create_function_url_config(FunctionName="mine", AuthType="AWS_IAM")
    functions.publish_layer_version(LayerName="mine", Content={"ZipFile": package()})
    functions.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": [SIGNER]})
    logs.create_log_group(logGroupName="/mine")
    first.client("apigateway").create_rest_api(name="mine")
    first.client("apigatewayv2").create_api(Name="mine", ProtocolType="HTTP")
    return first


SIGNER = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/mine/0123456789"
#: Service → call that lists, member of the answer. Every service of the region stands here.
LISTS: dict[str, list[tuple[str, str]]] = {
    "lambda": [
        ("list_functions", "Functions"),
        ("list_layers", "Layers"),
        ("list_code_signing_configs", "CodeSigningConfigs"),
        ("list_event_source_mappings", "EventSourceMappings"),
    ],
    "logs": [("describe_log_groups", "logGroups")],
    "iam": [
        ("list_users", "Users"),
        ("list_groups", "Groups"),
        ("list_roles", "Roles"),
        ("list_instance_profiles", "InstanceProfiles"),
        ("list_account_aliases", "AccountAliases"),
    ],
    "apigateway": [("get_rest_apis", "items")],
    "apigatewayv2": [("get_apis", "Items")],
    "sts": [],
    "cloudwatch": [("list_metrics", "Metrics")],
    # Its lists ask for a time: the test of traces below.
    "xray": [],
}


def test_every_service_of_the_region_is_looked_at(region: Any) -> None:
    health = region.request("GET", "/_lambent/health").json()
    assert set(LISTS) >= set(health["services"])


@pytest.mark.parametrize(("service", "call", "member"), [(s, *each) for s, lists in LISTS.items() for each in lists])
def test_no_list_shows_what_another_account_has(
    region: Any, furnished: Tenant, other: Tenant, service: str, call: str, member: str
) -> None:
    assert getattr(other.client(service), call)()[member] == []


def test_no_trace_is_told_to_another_account(region: Any, first: Tenant, other: Tenant) -> None:
    now = time.time()
    trace = f"1-{int(now):08x}-{7:024x}"
    segment = {"name": "mine", "id": f"{7:016x}", "trace_id": trace, "start_time": now, "end_time": now + 1}
    first.client("xray").put_trace_segments(TraceSegmentDocuments=[json.dumps(segment)])

    def told(xray: Any) -> list[str]:
        listed = xray.get_trace_summaries(StartTime=now - 60, EndTime=now + 60)["TraceSummaries"]
        return [each["Id"] for each in (*listed, *xray.batch_get_traces(TraceIds=[trace])["Traces"])]

    assert told(first.client("xray")) == [trace, trace]
    assert told(other.client("xray")) == []


def test_what_another_account_has_cannot_be_found_by_name(furnished: Tenant, other: Tenant) -> None:
    iam, functions, logs = other.client("iam"), other.client("lambda"), other.client("logs")
    for call in (
        lambda: iam.get_user(UserName="mine"),
        lambda: iam.get_role(RoleName="mine"),
        lambda: iam.get_instance_profile(InstanceProfileName="mine"),
        lambda: iam.get_policy(PolicyArn=f"arn:aws:iam::{furnished.id}:policy/mine"),
        lambda: functions.get_function(FunctionName="mine"),
        lambda: functions.invoke(FunctionName="mine"),
        lambda: functions.get_layer_version(LayerName="mine", VersionNumber=1),
        lambda: logs.describe_log_streams(logGroupName="/mine"),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["Error"]["Code"] in ("NoSuchEntity", "ResourceNotFoundException")


def test_what_another_account_has_cannot_be_reached_by_its_arn(furnished: Tenant, other: Tenant) -> None:
    functions = other.client("lambda")
    arn = furnished.client("lambda").get_function(FunctionName="mine")["Configuration"]["FunctionArn"]
    layer = f"arn:aws:lambda:us-east-1:{furnished.id}:layer:mine:1"
    for call in (
        lambda: functions.invoke(FunctionName=arn),
        lambda: functions.get_function(FunctionName=arn),
        lambda: functions.delete_function(FunctionName=arn),
        lambda: functions.get_layer_version_by_arn(Arn=layer),
        lambda: functions.list_tags(Resource=arn),
        lambda: functions.tag_resource(Resource=arn, Tags={"mine": "now"}),
        lambda: functions.untag_resource(Resource=arn, TagKeys=["mine"]),
        lambda: functions.update_function_configuration(FunctionName=arn, Description="mine now"),
        lambda: functions.add_permission(
            FunctionName=arn, StatementId="mine", Action="lambda:InvokeFunction", Principal=other.id
        ),
        lambda: functions.delete_layer_version(LayerName=layer.rpartition(":")[0], VersionNumber=1),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["Error"]["Code"] in ("AccessDeniedException", "ResourceNotFoundException")
    assert json.load(furnished.client("lambda").invoke(FunctionName="mine")["Payload"]) == arn


def test_the_same_names_are_different_things(furnished: Tenant, other: Tenant) -> None:
    iam = other.client("iam")
    role = iam.create_role(RoleName="mine", AssumeRolePolicyDocument=trust())["Role"]
    assert role["Arn"] == f"arn:aws:iam::{other.id}:role/mine"
    functions = other.client("lambda")
    functions.create_function(
        FunctionName="mine",
        Runtime="python3.12",
        Role=role["Arn"],
        Handler="main.handler",
        Code={"ZipFile": package()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="mine", WaiterConfig={"Delay": 0.05})
    assert (
        json.load(functions.invoke(FunctionName="mine")["Payload"])
        == f"arn:aws:lambda:us-east-1:{other.id}:function:mine"
    )
    functions.delete_function(FunctionName="mine")
    iam.delete_role(RoleName="mine")
    assert furnished.client("lambda").get_function(FunctionName="mine")
    assert furnished.client("iam").get_role(RoleName="mine")
    with refused("EntityAlreadyExists", "The account alias mine already exists.", 409):
        iam.create_account_alias(AccountAlias="mine")


def test_a_role_of_another_account_lets_in_whom_both_accounts_let(
    region: Any, furnished: Tenant, other: Tenant
) -> None:
    iam = furnished.client("iam")
    document = json.loads(trust())
    document["Statement"][0]["Principal"] = {"AWS": other.id}
    arn = iam.create_role(RoleName="shared", AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    theirs = other.client("iam")
    theirs.create_user(UserName="visitor")
    key = theirs.create_access_key(UserName="visitor")["AccessKey"]
    sts = region.client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    with refused("AccessDenied", status=403):
        sts.assume_role(RoleArn=arn, RoleSessionName="mine")
    theirs.put_user_policy(UserName="visitor", PolicyName="own", PolicyDocument=allow("sts:AssumeRole", resource=arn))
    session = sts.assume_role(RoleArn=arn, RoleSessionName="mine")
    assert session["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{furnished.id}:assumed-role/shared/mine"
    theirs.delete_user_policy(UserName="visitor", PolicyName="own")
    theirs.delete_access_key(UserName="visitor", AccessKeyId=key["AccessKeyId"])
    theirs.delete_user(UserName="visitor")
