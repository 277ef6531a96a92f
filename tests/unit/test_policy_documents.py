"""Policy documents: what is one, and the words for what is not. The reasons are those that IAM was seen to give."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.identity.policy import Effect, MalformedPolicy, Policy, PolicyKind, Question, evaluate, parse

S3 = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::example_bucket"}
SYNTAX = "Syntax errors in policy."
LEGACY = "The policy failed legacy parsing"


def document(*statements: Any, **elements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements), **elements}


def statement(**elements: Any) -> dict[str, Any]:
    """A good one, with `elements` put in; None leaves one out."""
    return {name: value for name, value in (S3 | elements).items() if value is not None}


def reason_of(policy: Any, kind: PolicyKind = PolicyKind.IDENTITY) -> str:
    with pytest.raises(MalformedPolicy) as caught:
        parse(policy, kind=kind)
    return caught.value.reason


@pytest.mark.parametrize(
    "policy",
    [
        "This is not a json document",
        "",
        "[]",
        "null",
        "NaN",
        b"\xff\xfe",
        "[" * 100_000,
        '{"Version": "2012-10-17", "Statement": ' + "[" * 100_000,
        '{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}',
        '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}}',
        {"Version": "2012-10-17"},
        {"Version": "2013-10-17", "Statement": S3},
        {"Version": 20121017, "Statement": S3},
        document(),
        document("afd"),
        document(S3, Extra="value"),
        document(S3, Id=["cd3a"]),
        document(statement(Extra="value")),
        document(statement(Effect="invalid")),
        document(statement(Effect=None)),
        document(statement(Effect=["Allow"])),
        document(statement(Sid={})),
        document(statement(Action={})),
        document(statement(Action=[[]])),
        document(statement(Action=[1])),
        document(statement(NotAction=[])),
        document(statement(Resource={"a": "arn:aws:s3:::b"})),
        document(statement(NotResource="*")),
        document(statement(Condition=[])),
        document(statement(Condition="a")),
        document(statement(Condition={"a": "b"})),
        document(statement(Condition={"DateGreaterThan": "b"})),
        document(statement(Condition={"DateGreaterThan": {"a": {}}})),
        document(statement(Condition={"x": {"a": "1"}})),
        document(statement(Condition={"x": {}})),
        document(statement(Condition={"ForAnyValue::StringEquals": {"a": "1"}})),
        document(statement(Condition={"NullIfExists": {"a": "true"}})),
        document(statement(Condition={"ForAllValues:Null": {"a": "true"}})),
        document(statement(Condition={"StringEqualsIfExistsIfExists": {"a": "1"}})),
        document(statement(Condition={"StringEquals": {"a": None}})),
        document(statement(Resource="arn:aws:s3:::${aws:username")),
        document(statement(Resource="arn:aws:s3:::${}")),
        document(statement(Resource="arn:aws:s3:::${aws:username, none}")),
    ],
)
def test_what_is_not_the_grammar_is_a_syntax_error(policy: Any) -> None:
    assert reason_of(policy) == SYNTAX


REFUSED = {
    "Policy document must be version 2012-10-17 or greater.": [
        {"Statement": S3},
        {"Version": "2008-10-17", "Statement": S3},
        {"Statement": statement(Effect="denY")},
    ],
    LEGACY: [
        document(statement(Effect="allow")),
        document(statement(Condition={"DateGreaterThan": {"a": "sdfdsf"}})),
        document(statement(Condition={"DateLessThanEquals": {"a": "234-13"}})),
        document(statement(Condition={"DateLessThanEquals": {"a": "2016-12-13t2:00:00.593194+1"}})),
        document(statement(Condition={"DateLessThanEquals": {"a": "2016-12-13t2:00:00.1999999999+10:59"}})),
        document(statement(Condition={"DateLessThan": {"a": "9223372036854775808"}})),
        document(statement(Condition={"NumericEquals": {"a": "five"}})),
        document(statement(Condition={"NumericEquals": {"a": "NaN"}})),
        document(statement(Condition={"IpAddress": {"a": "10.0.0.0/33"}})),
        document(statement(Condition={"Bool": {"a": "yes"}})),
        document(statement(Condition={"BinaryEquals": {"a": "%"}})),
        # Variables are for strings and ARNs only.
        document(statement(Condition={"NumericEquals": {"a": "${aws:number}"}})),
        document(statement(Resource="arn:aws:s3::example_bucket")),
        document(statement(Resource="arn:aws::fdsasf")),
        document(statement(Resource="arn:aws::::example_bucket")),
        document(statement(Action=None, Resource="arn:aws:s3::example_bucket")),
        document(statement(Resource="arn:error:s3:::b", Condition={"DateGreaterThan": {"a": "sdfdsf"}})),
    ],
    "Statement IDs (SID) in a single policy must be unique.": [
        document(statement(Sid="a"), {"Sid": "a", "Effect": "Allow"}),
    ],
    "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*": [
        document(statement(Sid="a b"))
    ],
    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.": [
        document(statement(Action="invalid")),
        document(statement(Action="invalid", Resource=None)),
        document(statement(Action=None, NotAction="")),
    ],
    "Vendor a a is not valid": [document(statement(Action="a a:ListBucket"))],
    "Actions/Condition can contain only one colon.": [document(statement(Action="s3:List:Bucket"))],
    'Resource sdfsadf must be in ARN format or "*".': [
        document(statement(Resource=["sdfsadf"])),
        document(statement(Action="s:3:ListBucket", Resource="sdfsadf")),
    ],
    'Resource  must be in ARN format or "*".': [document(statement(Resource=""))],
    'Partition "bsdf" is not valid for resource "arn:bsdf:*:*:*:*".': [document(statement(Resource="a:bsdf"))],
    'Partition "b" is not valid for resource "arn:b:c:d:e:f:g:h".': [document(statement(Resource="a:b:c:d:e:f:g:h"))],
    'Partition "s3" is not valid for resource "arn:s3:::example_bucket:*".': [
        document(statement(Resource="aws:s3:::example_bucket")),
    ],
    "Resource vendor must be fully qualified and cannot contain regexes.": [
        document(statement(Resource="arn:aws")),
        document(statement(Resource="arn:aws:*:::b")),
    ],
    "Policy statement must contain resources.": [
        document(statement(Resource=None)),
        document(statement(Resource=[])),
    ],
    "Policy statement must contain actions.": [
        document(statement(Action=None)),
        document(statement(Action=[])),
        document({"Effect": "Deny"}, S3),
    ],
    "IAM resource arn:aws:iam:us-east-1::role/x cannot contain region information.": [
        document(statement(Resource="arn:aws:iam:us-east-1::role/x")),
    ],
    "Resource arn:aws:s3:us-east-1::b can not contain region information.": [
        document(statement(Resource="arn:aws:s3:us-east-1::b")),
    ],
    'IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, instance-profile/, '
    "mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.": [
        document(statement(Resource="arn:aws:iam:::example_bucket")),
    ],
    "Policy document should not specify a principal.": [document(statement(Principal="*"))],
}


@pytest.mark.parametrize(("reason", "policies"), REFUSED.items())
def test_identity_policies_are_refused_in_iams_words(reason: str, policies: list[dict[str, Any]]) -> None:
    for policy in policies:
        assert reason_of(policy) == reason
        assert reason_of(json.dumps(policy)) == reason


@pytest.mark.parametrize(
    "good",
    [
        statement(Action="iam: asdf safdsf af "),
        statement(Action="*", Resource=["arn:aws:s3:::example_bucket", "*"]),
        statement(Resource="arn:aws:sqs"),
        statement(Resource="arn:aws:iam:::user/example_bucket"),
        statement(Resource="arn:aws:iam::*:user/${aws:username}"),
        statement(Resource="arn:aws:s3:::${aws:PrincipalTag/team, 'company-wide'}/${*}"),
        statement(Action="s3-s.x:ListBucket"),
        statement(Action=None, NotAction="s3:*", Resource=None, NotResource="*"),
        statement(Condition={}),
        statement(Condition={"DateGreaterThan": {}}),
        statement(Condition={"DateGreaterThan": {"a": []}}),
        statement(Condition={"DateLessThanEquals": {"a": "2016-12-13t2:00:00.593194+23"}}),
        statement(Condition={"DateLessThan": {"a": "-292275054"}}),
        statement(Condition={"ForAnyValue:StringEqualsIfExists": {"a": "asf"}}),
        statement(Condition={"Bool": {"aws:SecureTransport": True}, "NumericLessThan": {"s3:max-keys": 10}}),
    ],
)
def test_what_iam_takes_is_taken(good: dict[str, Any]) -> None:
    assert isinstance(parse(document(good), kind=PolicyKind.IDENTITY), Policy)


def test_the_policies_of_resources_need_a_principal_and_no_version() -> None:
    assert reason_of(document(S3), PolicyKind.RESOURCE) == "Missing required field Principal"
    policy = parse({"Id": "default", "Statement": statement(Principal="*", Sid="a-b_c", Resource="execute-api:/*")})
    assert (policy.id, policy.version) == ("default", "2008-10-17")


@pytest.mark.parametrize(
    "principal",
    [
        {},
        [],
        "arn:aws:iam::123456789012:root",
        {"AWS": []},
        {"AWS": {}},
        {"AWS": [1]},
        {"Everyone": "*"},
        {"aws": "*"},
        None,
    ],
)
def test_principals_of_unknown_form_are_syntax_errors(principal: Any) -> None:
    assert reason_of(document(S3 | {"Principal": principal}), PolicyKind.RESOURCE) == SYNTAX


@pytest.mark.parametrize(
    "name", ["", "12345", "arn:aws:iam::123456789012:user/*", "arn:aws:iam::*:root", "arn:aws:s3:::b", "bob"]
)
def test_principals_that_nobody_can_be_are_named(name: str) -> None:
    reason = reason_of(document(S3 | {"Principal": {"AWS": name}}), PolicyKind.RESOURCE)
    assert reason == f'Invalid principal in policy: "AWS":"{name}"'


def test_not_principal_is_for_denials_only() -> None:
    assert "Deny only" in reason_of(document(S3 | {"NotPrincipal": "*"}), PolicyKind.RESOURCE)


def test_trust_policies_say_who_may_assume_and_nothing_else() -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    assert parse(document(trust), kind=PolicyKind.TRUST).statements[0].effect is Effect.ALLOW
    assert reason_of(document(trust | {"Resource": "*"}), PolicyKind.TRUST) == "Has prohibited field Resource"
    elsewhere = document(trust | {"Action": "s3:GetObject"})
    assert reason_of(elsewhere, PolicyKind.TRUST) == "AssumeRole policy may only specify STS AssumeRole actions."


def test_what_authorizers_answer_needs_no_version() -> None:
    answered = {"Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "arn:aws:execute-api:*"}]}
    asked = Question("execute-api:Invoke", "arn:aws:execute-api:us-east-1:000000000000:abc/prod/GET/pets")
    assert evaluate(parse(answered, kind=PolicyKind.AUTHORIZER), asked).effect is Effect.ALLOW


def test_authorizer_that_names_no_resource_grants_nothing() -> None:
    nothing = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": []}
    something = {**nothing, "Resource": ["arn:aws:execute-api:us-east-1:000000000000:api/prod/GET/pets"]}
    for statements, granted in (([nothing], Effect.NONE), ([nothing, something], Effect.ALLOW)):
        read = parse({"Version": "2012-10-17", "Statement": statements}, kind=PolicyKind.AUTHORIZER)
        assert evaluate(read, Question("execute-api:Invoke", something["Resource"][0])).effect is granted
        assert evaluate(read, Question("execute-api:Invoke", "arn:other")).effect is Effect.NONE
    for kind in (PolicyKind.IDENTITY, PolicyKind.RESOURCE):
        with pytest.raises(MalformedPolicy):
            parse({"Version": "2012-10-17", "Statement": [nothing]}, kind=kind)


def test_the_context_keys_that_a_policy_looks_at_are_known() -> None:
    looks = statement(
        Resource="arn:aws:s3:::${aws:username}",
        Condition={"StringLike": {"s3:Prefix": "${aws:PrincipalTag/Team}/*"}, "Null": {"aws:TokenIssueTime": "true"}},
    )
    policy = parse(document(looks), kind=PolicyKind.IDENTITY)
    assert policy.keys == {"aws:username", "s3:prefix", "aws:principaltag/team", "aws:tokenissuetime"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ELEMENTS = ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"]


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(st.sampled_from(ELEMENTS), JSON, st.sampled_from(PolicyKind))
def test_statements_of_unknown_form_never_allow(element: str, value: Any, kind: PolicyKind) -> None:
    """Whatever stands in one element of a good statement, it reads as a policy or is refused, and no more."""
    good = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b"}
    asked = Question("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:f")
    try:
        policy = parse(document(good | {element: value}), kind=kind)
    except MalformedPolicy:
        return
    # Neither its action nor its resource is another's business, but for `Not…` of something else.
    if not element.startswith("Not"):
        assert evaluate(policy, asked).effect is Effect.NONE


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200) | st.dictionaries(st.text(max_size=9), JSON, max_size=4))
def test_no_document_does_anything_but_read_or_be_refused(policy: Any) -> None:
    try:
        parse(policy)
    except MalformedPolicy:
        return
    pytest.fail("that is no policy")
