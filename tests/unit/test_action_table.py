"""Each operation that is served has a row that says what it needs, as AWS's Service Authorization Reference does."""

from __future__ import annotations

import pkgutil
from typing import Any

import botocore.session
import pytest
from authorization_helpers import MODELS, OWN, REGION, Everyone, function, operation, user

import lambent.services
from lambent.identity import actions
from lambent.identity.actions import Call, EntityFacts, Need
from tests.served_operations import SERVICES, implemented

LAMBDA = f"arn:aws:lambda:{REGION}:{OWN}"
LOGS = f"arn:aws:logs:{REGION}:{OWN}:log-group"
APIS = f"arn:aws:apigateway:{REGION}:"
IAM = f"arn:aws:iam::{OWN}"
ROLE = f"{IAM}:role/team/worker"


#: Folders of services that are AWS APIs.
SERVED = [
    SERVICES.get(module.name, module.name)
    for module in pkgutil.iter_modules(lambent.services.__path__)
    if SERVICES.get(module.name, module.name) in botocore.session.get_session().get_available_services()
]


@pytest.mark.parametrize("service", SERVED)
def test_every_operation_that_is_served_has_a_row(service: str) -> None:
    served = implemented(service)
    assert not {name for name in served if not actions.has_row(service, name)}


@pytest.mark.parametrize("service", sorted(actions._TABLE))
def test_rows_are_of_operations_that_there_are(service: str) -> None:
    rows = actions._TABLE[service]
    assert not set(rows) - set(MODELS.service(service).operation_names)


def needs(service: str, name: str, labels: dict[str, str] | None = None, /, **params: Any) -> list[Need]:
    everyone = Everyone()
    everyone.entities[OWN, "role", "worker"] = EntityFacts(ROLE, "AROA", {"Team": "a"}, f"{IAM}:policy/edge")
    asked = operation(service, name, labels)
    row = actions.row_of(service, name, asked.method)
    assert row is not None
    call = Call(name, REGION, user(), params, everyone, asked.method, asked.uri, asked.uri_params)
    return actions.needs(row, service, call)


@pytest.mark.parametrize(
    ("named", "qualifier", "resource"),
    [
        ("f", None, function("f")),
        ("f", "$LATEST", function("f")),
        ("f", "live", f"{function('f')}:live"),
        ("f:7", None, f"{function('f')}:7"),
        (f"{OWN}:f", None, function("f")),
        (f"{OWN}:function:f:live", None, f"{function('f')}:live"),
        (function("f", "1" * 12), "2", f"{function('f', '1' * 12)}:2"),
        (f"{function('f')}:live", None, f"{function('f')}:live"),
    ],
)
def test_a_function_is_the_same_resource_however_it_is_named(named, qualifier, resource) -> None:
    for name in ("Invoke", "InvokeWithResponseStream"):
        assert needs("lambda", name, FunctionName=named, Qualifier=qualifier) == [
            Need("lambda:InvokeFunction", resource)
        ]


@pytest.mark.parametrize(
    ("service", "name", "params", "expected"),
    [
        ("lambda", "ListFunctions", {}, ("lambda:ListFunctions", "*")),
        ("lambda", "UpdateAlias", {"FunctionName": "f:1", "Name": "a"}, ("lambda:UpdateAlias", function("f"))),
        (
            "lambda",
            "GetLayerVersion",
            {"LayerName": "l", "VersionNumber": 3},
            ("lambda:GetLayerVersion", f"{LAMBDA}:layer:l:3"),
        ),
        (
            "lambda",
            "GetLayerVersionByArn",
            {"Arn": f"{LAMBDA}:layer:l:3"},
            ("lambda:GetLayerVersion", f"{LAMBDA}:layer:l:3"),
        ),
        ("lambda", "PublishLayerVersion", {"LayerName": "l"}, ("lambda:PublishLayerVersion", f"{LAMBDA}:layer:l")),
        (
            "lambda",
            "GetEventSourceMapping",
            {"UUID": "u"},
            ("lambda:GetEventSourceMapping", f"{LAMBDA}:event-source-mapping:u"),
        ),
        ("logs", "CreateLogGroup", {"logGroupName": "/g"}, ("logs:CreateLogGroup", f"{LOGS}:/g:log-stream:")),
        (
            "logs",
            "PutLogEvents",
            {"logGroupName": "/g", "logStreamName": "s"},
            ("logs:PutLogEvents", f"{LOGS}:/g:log-stream:s"),
        ),
        (
            "logs",
            "FilterLogEvents",
            {"logGroupIdentifier": f"{LOGS}:/g:*"},
            ("logs:FilterLogEvents", f"{LOGS}:/g:log-stream:"),
        ),
        ("logs", "DescribeLogGroups", {}, ("logs:DescribeLogGroups", f"{LOGS}::log-stream:")),
        ("logs", "TagResource", {"resourceArn": f"{LOGS}:/g", "tags": {}}, ("logs:TagResource", f"{LOGS}:/g")),
        ("iam", "GetRole", {"RoleName": "worker"}, ("iam:GetRole", ROLE)),
        ("iam", "GetRole", {"RoleName": "nobody"}, ("iam:GetRole", f"{IAM}:role/nobody")),
        ("iam", "CreateRole", {"RoleName": "r", "Path": "/p/"}, ("iam:CreateRole", f"{IAM}:role/p/r")),
        ("iam", "ListRoles", {}, ("iam:ListRoles", f"{IAM}:role/")),
        ("iam", "GetUser", {}, ("iam:GetUser", f"{IAM}:user/ann")),
        ("iam", "GetAccountSummary", {}, ("iam:GetAccountSummary", "*")),
        ("sts", "GetAccessKeyInfo", {"AccessKeyId": "AKIA"}, ("sts:GetAccessKeyInfo", "*")),
    ],
)
def test_actions_and_resources(service, name, params, expected) -> None:
    (need,) = needs(service, name, **params)
    assert (need.action, need.resource) == expected


@pytest.mark.parametrize(
    ("service", "name", "labels", "expected"),
    [
        ("apigateway", "GetRestApis", {}, ("apigateway:GET", f"{APIS}:/restapis")),
        (
            "apigateway",
            "PutMethod",
            {"restapi_id": "a", "resource_id": "r", "http_method": "GET"},
            ("apigateway:PUT", f"{APIS}:/restapis/a/resources/r/methods/GET"),
        ),
        ("apigateway", "ImportRestApi", {}, ("apigateway:POST", f"{APIS}:/restapis")),
        (
            "apigateway",
            "TagResource",
            {"resource_arn": f"{APIS}:/restapis/a"},
            ("apigateway:PUT", f"{APIS}:/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Fa"),
        ),
        ("apigatewayv2", "GetApi", {"apiId": "a"}, ("apigateway:GET", f"{APIS}:/apis/a")),
        (
            "apigatewayv2",
            "UpdateStage",
            {"apiId": "a", "stageName": "s"},
            ("apigateway:PATCH", f"{APIS}:/apis/a/stages/s"),
        ),
    ],
)
def test_actions_of_api_gateway_are_verbs(service, name, labels, expected) -> None:
    (need,) = needs(service, name, labels)
    assert (need.action, need.resource) == expected


@pytest.mark.parametrize(
    ("service", "name", "member", "arn"),
    [
        ("lambda", "ListTags", "Resource", function("f")),
        ("lambda", "Invoke", "FunctionName", function("f")),
        ("lambda", "GetLayerVersionByArn", "Arn", f"{LAMBDA}:layer:l:3"),
        ("lambda", "PublishLayerVersion", "LayerName", f"{LAMBDA}:layer:l"),
        ("lambda", "GetCodeSigningConfig", "CodeSigningConfigArn", f"{LAMBDA}:code-signing-config:c"),
        ("logs", "ListTagsForResource", "resourceArn", f"{LOGS}:/g"),
    ],
)
def test_no_other_partition_leads_past_a_policy(service, name, member, arn) -> None:
    (need,) = needs(service, name, **{member: arn.replace("arn:aws:", "arn:aws-cn:")})
    assert need.resource == arn


def test_creating_a_function_needs_its_role_its_layers_and_its_tags() -> None:
    layer = f"{LAMBDA}:layer:l:1"
    create, tag, pass_role, get_layer = needs(
        "lambda", "CreateFunction", FunctionName="f", Role=ROLE, Layers=[layer], Tags={"Team": "a"}
    )
    assert (create.action, create.resource) == ("lambda:CreateFunction", function("f"))
    assert create.keys == {"lambda:layer": [layer], "aws:requesttag/team": ("a",), "aws:tagkeys": ("Team",)}
    assert (tag.action, tag.resource) == ("lambda:TagResource", function("f"))
    assert (pass_role.action, pass_role.resource) == ("iam:PassRole", ROLE)
    assert pass_role.keys["iam:passedtoservice"] == ("lambda.amazonaws.com",)
    assert (get_layer.action, get_layer.resource) == ("lambda:GetLayerVersion", layer)


def test_a_role_is_passed_only_where_one_is_given() -> None:
    assert [need.action for need in needs("lambda", "UpdateFunctionConfiguration", FunctionName="f")] == [
        "lambda:UpdateFunctionConfiguration"
    ]
    patch = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": ROLE}]
    assert [need.action for need in needs("apigateway", "UpdateAccount", patchOperations=patch)] == [
        "apigateway:PATCH",
        "iam:PassRole",
    ]


def test_condition_keys_of_iam_tell_about_the_entity() -> None:
    (need,) = needs("iam", "AttachRolePolicy", RoleName="worker", PolicyArn=f"{IAM}:policy/p")
    assert need.shown == "role worker"
    assert need.keys == {
        "iam:policyarn": (f"{IAM}:policy/p",),
        "iam:permissionsboundary": (f"{IAM}:policy/edge",),
        "iam:resourcetag/team": ("a",),
        "aws:resourcetag/team": ("a",),
    }


def test_assuming_a_role_with_tags_needs_more_than_assuming_it() -> None:
    tags = [{"Key": "Team", "Value": "a"}]
    assume, tag, source = needs(
        "sts", "AssumeRole", RoleArn=ROLE, RoleSessionName="s", ExternalId="x", Tags=tags, SourceIdentity="me"
    )
    assert [need.action for need in (assume, tag, source)] == [
        "sts:AssumeRole",
        "sts:TagSession",
        "sts:SetSourceIdentity",
    ]
    assert assume.keys["sts:externalid"] == ("x",)
    assert assume.keys["aws:requesttag/team"] == ("a",)


def test_who_one_is_anybody_may_ask() -> None:
    assert actions.row_of("sts", "GetCallerIdentity", "POST") is None
