"""Real users, roles and sessions against every operation served: each can do exactly what its policies say."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lambent.identity import actions
from tests.roles import ACCOUNT, ADMINISTRATOR, allowing, make_role
from tests.served_operations import implemented, parameters

pytestmark = pytest.mark.slow

SERVICES = ("lambda", "logs", "iam", "sts")
#: What anybody may do who signs, and what nobody signs.
FREE = {"GetCallerIdentity", "GetSessionToken", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"}
ONE = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:one"
LENDING = """
import os
def handler(event, context):
    return [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
"""

Clients = Callable[[str], Any]


def clients(region: Any, *key: str) -> Clients:
    """Clients with these credentials that check nothing themselves."""
    settings = Config(parameter_validation=False, retries={"total_max_attempts": 1}, inject_host_prefix=False)
    session = boto3.Session(*key, region_name=region.name)
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = session.client(service, endpoint_url=region.url, config=settings)
        return made[service]

    return client


def a_user(region: Any, name: str, *policies: str, managed: str = "") -> Clients:
    iam = region.client("iam")
    iam.create_user(UserName=name)
    for number, policy in enumerate(policies):
        iam.put_user_policy(UserName=name, PolicyName=f"p{number}", PolicyDocument=policy)
    if managed:
        iam.attach_user_policy(UserName=name, PolicyArn=managed)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return clients(region, key["AccessKeyId"], key["SecretAccessKey"])


def of_credentials(region: Any, answer: Any) -> Clients:
    key = answer["Credentials"]
    return clients(region, key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"])


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, str] | None:
    """Code and message of the authorizer's refusal; None where the caller was let in, whatever came then."""
    try:
        call(**params)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        return (code, message) if " is not authorized to perform: " in message else None
    return None


def ask(clients: Clients, service: str, operation: str) -> tuple[str, str] | None:
    client = clients(service)
    method = next(name for name, real in client.meta.method_to_api_mapping.items() if real == operation)
    params = parameters(service, operation)
    if operation == "Invoke":
        params = {"FunctionName": "one", "InvocationType": "DryRun"}
    return refusal(getattr(client, method), **params)


def every_operation() -> list[tuple[str, str]]:
    return [(service, name) for service in SERVICES for name in sorted(implemented(service))]


def action_of(service: str, operation: str) -> str:
    row = actions.row_of(service, operation, "POST")
    assert row is not None
    return f"{service}:{row.action or operation}"


def let_in(clients: Clients) -> set[str]:
    """Every operation that got past the authorizer; each refusal must be in AWS's words."""
    allowed = set()
    for service, operation in every_operation():
        refused = ask(clients, service, operation)
        if refused is None:
            allowed.add(f"{service}:{operation}")
            continue
        code, message = refused
        assert code == ("AccessDenied" if service in ("iam", "sts") else "AccessDeniedException"), operation
        assert f" is not authorized to perform: {action_of(service, operation)} on resource: " in message, operation
    return allowed


EVERYTHING = {f"{service}:{name}" for service, name in every_operation()}
FREE_FOR_ALL = {name for name in EVERYTHING if name.partition(":")[2] in FREE}


@pytest.fixture(scope="module")
def function(region: Any) -> str:
    """`one`, which hands out the credentials of its role."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", LENDING)
    client = region.client("lambda")
    client.create_function(
        FunctionName="one",
        Runtime="python3.12",
        Handler="app.handler",
        Role=make_role(region, "reader", inline=allowing("lambda:Get*", "lambda:List*", resource="*")),
        Code={"ZipFile": buffer.getvalue()},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="one", WaiterConfig={"Delay": 1})
    return ONE


def test_a_user_without_policies_may_do_nothing(region: Any) -> None:
    nobody = a_user(region, "nobody")
    assert let_in(nobody) == FREE_FOR_ALL
    assert refusal(nobody("lambda").delete_function, FunctionName="one") == (
        "AccessDeniedException",
        f"User: arn:aws:iam::{ACCOUNT}:user/nobody is not authorized to perform: lambda:DeleteFunction on resource: "
        f"{ONE} because no identity-based policy allows the lambda:DeleteFunction action",
    )


def test_an_administrator_may_do_everything(region: Any) -> None:
    refused = EVERYTHING - let_in(a_user(region, "admin", managed=ADMINISTRATOR))
    # A role that is not there trusts nobody.
    assert refused == {"sts:AssumeRole"}


def test_root_may_do_everything(region: Any) -> None:
    root = clients(region, region.key.access_key, region.key.secret_key)
    refused = []
    for service, operation in every_operation():
        found = ask(root, service, operation)
        refused += [found[1]] if found is not None else []
    assert refused == []
    assume = root("sts").assume_role
    with pytest.raises(ClientError, match="Roles may not be assumed by root accounts"):
        assume(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/worker", RoleSessionName="session")


def test_a_user_may_only_invoke_one_function(region: Any, function: str) -> None:
    invoker = a_user(region, "invoker", allowing("lambda:InvokeFunction", resource=function))
    assert let_in(invoker) == {"lambda:Invoke", *FREE_FOR_ALL}
    dry = {"InvocationType": "DryRun"}
    assert invoker("lambda").invoke(FunctionName=function, **dry)["StatusCode"] == 204
    for name in ("two", f"{function}:live", "one:1"):
        refused = refusal(invoker("lambda").invoke, FunctionName=name, **dry)
        assert refused is not None
        assert refused[1].endswith("because no identity-based policy allows the lambda:InvokeFunction action")


def test_an_assumed_role_does_what_role_and_session_both_allow(region: Any) -> None:
    iam = region.client("iam")
    user = a_user(region, "assumes", allowing("sts:AssumeRole"))
    who = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    trusting = {"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName="wide", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trusting]})
    )
    iam.put_role_policy(RoleName="wide", PolicyName="p", PolicyDocument=allowing("lambda:*", "logs:*"))
    narrow = allowing("lambda:Get*", "iam:*")
    assumed = user("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/wide", RoleSessionName="narrow", Policy=narrow
    )
    session = of_credentials(region, assumed)
    reading = {name for name in EVERYTHING if name.startswith("lambda:Get")}
    assert let_in(session) == {*reading, *FREE_FOR_ALL}
    refused = refusal(session("lambda").list_functions)
    assert refused is not None
    assert refused[1] == (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/wide/narrow is not authorized to perform: lambda:ListFunctions on "
        "resource: * because no session policy allows the lambda:ListFunctions action"
    )
    # What the role loses, its sessions lose at once.
    iam.delete_role_policy(RoleName="wide", PolicyName="p")
    assert refusal(session("lambda").get_account_settings) is not None


def test_a_function_does_what_its_role_may(region: Any, function: str) -> None:
    answer = region.client("lambda").invoke(FunctionName="one")
    own = clients(region, *json.loads(answer["Payload"].read()))
    assert own("sts").get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/one"
    reading = {name for name in EVERYTHING if name.startswith(("lambda:Get", "lambda:List"))}
    # A layer version by its ARN is got, too.
    assert let_in(own) == {*reading, *FREE_FOR_ALL}
    assert own("lambda").get_function(FunctionName="one")["Configuration"]["FunctionArn"] == function
    assert refusal(own("lambda").delete_function, FunctionName="one") is not None


def test_passing_a_role_needs_permission_on_the_role(region: Any) -> None:
    role = make_role(region, "passed")
    definition = {"Runtime": "python3.12", "Handler": "app.handler", "Role": role, "Code": {"ZipFile": b"x"}}
    refused = refusal(
        a_user(region, "creates", allowing("lambda:*"))("lambda").create_function, FunctionName="f", **definition
    )
    assert refused == (
        "AccessDeniedException",
        f"User: arn:aws:iam::{ACCOUNT}:user/creates is not authorized to perform: iam:PassRole on resource: {role} "
        "because no identity-based policy allows the iam:PassRole action",
    )
    passes = a_user(region, "passes", allowing("lambda:*"), allowing("iam:PassRole", resource=role))
    assert refusal(passes("lambda").create_function, FunctionName="f", **definition) is None


def test_what_changes_counts_at_once(region: Any) -> None:
    iam = region.client("iam")
    changing = a_user(region, "changing")
    call = changing("lambda").list_functions
    assert refusal(call) is not None
    iam.create_group(GroupName="readers")
    iam.put_group_policy(GroupName="readers", PolicyName="p", PolicyDocument=allowing("lambda:List*"))
    assert refusal(call) is not None
    iam.add_user_to_group(GroupName="readers", UserName="changing")
    assert refusal(call) is None
    created = iam.create_policy(PolicyName="edge", PolicyDocument=allowing("logs:*"))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="changing", PermissionsBoundary=created)
    refused = refusal(call)
    assert refused is not None
    assert refused[1].endswith("because no permissions boundary allows the lambda:ListFunctions action")
    iam.create_policy_version(PolicyArn=created, PolicyDocument=allowing("lambda:*"), SetAsDefault=True)
    assert refusal(call) is None
    iam.remove_user_from_group(GroupName="readers", UserName="changing")
    assert refusal(call) is not None


def test_resources_let_in_without_a_policy_of_the_identity(region: Any, function: str) -> None:
    guest = a_user(region, "guest")
    dry = {"FunctionName": "one", "InvocationType": "DryRun"}
    assert refusal(guest("lambda").invoke, **dry) is not None
    owner = region.client("lambda")
    permission = {"FunctionName": "one", "StatementId": "guest", "Action": "lambda:InvokeFunction"}
    owner.add_permission(**permission, Principal=f"arn:aws:iam::{ACCOUNT}:user/guest")
    assert refusal(guest("lambda").invoke, **dry) is None
    owner.remove_permission(FunctionName="one", StatementId="guest")
    assert refusal(guest("lambda").invoke, **dry) is not None


def test_across_accounts_identity_and_resource_must_both_allow(region: Any, function: str) -> None:
    answer = region.request("POST", "/_lambent/accounts", b'{"id": "222222222222"}', sign="lambda")
    root = answer.json()
    abroad = clients(region, root["access_key_id"], root["secret_access_key"])
    iam = abroad("iam")
    iam.create_user(UserName="eve")
    key = iam.create_access_key(UserName="eve")["AccessKey"]
    eve = clients(region, key["AccessKeyId"], key["SecretAccessKey"])
    dry = {"FunctionName": function, "InvocationType": "DryRun"}
    owner = region.client("lambda")

    assert refusal(abroad("lambda").invoke, **dry) is not None
    iam.put_user_policy(UserName="eve", PolicyName="p", PolicyDocument=allowing("lambda:*"))
    refused = refusal(eve("lambda").invoke, **dry)
    assert refused is not None
    assert refused[1].endswith("because no resource-based policy allows the lambda:InvokeFunction action")
    for action in ("InvokeFunction", "GetFunction"):
        permission = {"FunctionName": "one", "StatementId": action, "Action": f"lambda:{action}"}
        owner.add_permission(**permission, Principal="222222222222")
    assert refusal(eve("lambda").invoke, **dry) is None
    assert eve("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"] == function
    assert refusal(eve("lambda").get_policy, FunctionName=function) is not None
    assert refusal(eve("lambda").get_function, FunctionName=f"{function}:1") is not None
    iam.delete_user_policy(UserName="eve", PolicyName="p")
    refused = refusal(eve("lambda").invoke, **dry)
    assert refused is not None
    assert refused[1].endswith("because no identity-based policy allows the lambda:InvokeFunction action")
    # A root needs the resource alone, and only in another account.
    assert refusal(abroad("lambda").invoke, **dry) is None


def test_layers_of_other_accounts_need_both_policies(region: Any) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("python/tool.py", "")
    owner = region.client("lambda")
    layer = owner.publish_layer_version(LayerName="lent", Content={"ZipFile": buffer.getvalue()})["LayerVersionArn"]
    root = region.request("POST", "/_lambent/accounts", b'{"id": "333333333333"}', sign="lambda").json()
    abroad = clients(region, root["access_key_id"], root["secret_access_key"])
    iam = abroad("iam")
    iam.create_user(UserName="eve")
    key = iam.create_access_key(UserName="eve")["AccessKey"]
    eve = clients(region, key["AccessKeyId"], key["SecretAccessKey"])
    assert refusal(abroad("lambda").get_layer_version_by_arn, Arn=layer) is not None
    permission = {"LayerName": "lent", "VersionNumber": 1, "Action": "lambda:GetLayerVersion"}
    owner.add_layer_version_permission(**permission, StatementId="all", Principal="*")
    assert refusal(abroad("lambda").get_layer_version_by_arn, Arn=layer) is None
    assert refusal(eve("lambda").get_layer_version_by_arn, Arn=layer) is not None
    iam.put_user_policy(UserName="eve", PolicyName="p", PolicyDocument=allowing("lambda:GetLayerVersion"))
    assert eve("lambda").get_layer_version_by_arn(Arn=layer)["LayerVersionArn"] == layer
    region.restart()
    again = clients(region, key["AccessKeyId"], key["SecretAccessKey"])
    assert refusal(again("lambda").get_layer_version_by_arn, Arn=layer) is None
    region.client("lambda").remove_layer_version_permission(LayerName="lent", VersionNumber=1, StatementId="all")
    assert refusal(again("lambda").get_layer_version_by_arn, Arn=layer) is not None
