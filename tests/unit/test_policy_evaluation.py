"""From policies to decisions: AWS's documented flow as a truth table, who a Principal element means, and what no
change of policies can do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.context import Caller
from lambent.identity.policy import (
    Effect,
    Policy,
    PolicyKind,
    Principal,
    Question,
    Reach,
    Reason,
    authorize,
    combine,
    evaluate,
    parse,
)

OWN, OTHER = "111111111111", "222222222222"
ACTION = "lambda:InvokeFunction"
FUNCTION = f"arn:aws:lambda:us-east-1:{OWN}:function:hello"
ROLE = f"arn:aws:iam::{OWN}:role/worker"
SESSION = f"arn:aws:sts::{OWN}:assumed-role/worker/one"
USER = f"arn:aws:iam::{OWN}:user/alice"

ALICE = Principal.aws(OWN, USER, "AIDAALICE1234567")
WORKER = Principal.aws(OWN, SESSION, ROLE)
ROOT = Principal.aws(OWN, f"arn:aws:iam::{OWN}:root")
STRANGER = Principal.aws(OTHER, f"arn:aws:iam::{OTHER}:user/bob")


def policy(effect: str | None, principal: Any = None) -> Policy:
    """One that allows or denies the action, or says nothing of it."""
    statement = {"Sid": "It", "Effect": effect or "Allow", "Action": ACTION if effect else "s3:*", "Resource": "*"}
    kind = PolicyKind.IDENTITY
    if principal is not None:
        statement["Principal"] = principal
        kind = PolicyKind.RESOURCE
    return parse({"Version": "2012-10-17", "Statement": statement}, kind=kind)


def question(principal: Principal) -> Question:
    return Question(ACTION, FUNCTION, principal)


# ---- the flow as a truth table -------------------------------------------------------------------------------------

VERDICTS: tuple[str | None, ...] = ("Allow", "Deny", None)
LIMITS = (*VERDICTS, "absent")


def expected(identity: Any, resource: Any, boundary: Any, session: Any, same: bool, reach: Reach) -> bool:
    """AWS's documentation, in words: the whole flow once more, written as what must be true."""
    if "Deny" in (identity, resource, boundary, session):
        return False
    within_limits = boundary in ("Allow", "absent") and session in ("Allow", "absent")
    if not same:
        return identity == "Allow" and resource == "Allow" and within_limits
    if resource == "Allow" and reach is Reach.SELF:
        return True
    granted = identity == "Allow" or (resource == "Allow" and reach is Reach.IDENTITY)
    return granted and within_limits


#: Principal elements that name the caller more or less closely.
ELEMENTS = [
    (ALICE, {"AWS": USER}, Reach.SELF),
    (ALICE, {"AWS": OWN}, Reach.ACCOUNT),
    (ALICE, "*", Reach.SELF),
    (WORKER, {"AWS": SESSION}, Reach.SELF),
    (WORKER, {"AWS": ROLE}, Reach.IDENTITY),
    (WORKER, {"AWS": f"arn:aws:iam::{OWN}:root"}, Reach.ACCOUNT),
]


@pytest.mark.parametrize(("principal", "element", "reach"), ELEMENTS)
@pytest.mark.parametrize("same", [True, False])
def test_the_documented_flow(principal: Principal, element: Any, reach: Reach, same: bool) -> None:
    for identity, resource, boundary, session in itertools.product(VERDICTS, LIMITS, LIMITS, LIMITS):
        decision = authorize(
            question(principal),
            resource_account=OWN if same else OTHER,
            identity=[policy(None), policy(identity)],
            resource=None if resource == "absent" else policy(resource, element),
            boundary=None if boundary == "absent" else policy(boundary),
            session=None if session == "absent" else [policy(session)],
        )
        row = (identity, resource, boundary, session)
        assert decision.allowed is expected(*row, same, reach), (row, decision)


REASONS = [
    ({"identity": [policy("Allow")]}, OWN, Reason.ALLOWED_BY_IDENTITY),
    ({"resource": policy("Allow", {"AWS": USER})}, OWN, Reason.ALLOWED_BY_RESOURCE),
    ({"identity": [policy("Deny")]}, OWN, Reason.DENIED_BY_IDENTITY),
    ({"resource": policy("Deny", "*"), "identity": [policy("Allow")]}, OWN, Reason.DENIED_BY_RESOURCE),
    ({"boundary": policy("Deny"), "identity": [policy("Allow")]}, OWN, Reason.DENIED_BY_BOUNDARY),
    ({"session": [policy("Deny")], "identity": [policy("Allow")]}, OWN, Reason.DENIED_BY_SESSION),
    ({}, OWN, Reason.NO_IDENTITY),
    ({"identity": [policy("Allow")]}, OTHER, Reason.NO_RESOURCE),
    ({"resource": policy("Allow", {"AWS": USER})}, OTHER, Reason.NO_IDENTITY),
    ({"identity": [policy("Allow")], "boundary": policy(None)}, OWN, Reason.NO_BOUNDARY),
    ({"identity": [policy("Allow")], "session": []}, OWN, Reason.NO_SESSION),
]


@pytest.mark.parametrize(("policies", "account", "reason"), REASONS)
def test_decisions_say_why(policies: dict[str, Any], account: str, reason: Reason) -> None:
    decision = authorize(question(ALICE), resource_account=account, **policies)
    assert decision.reason is reason
    assert decision.verdict.sid == ("" if reason.name.startswith("NO_") else "It")


def test_decisions_speak_as_aws_does() -> None:
    decision = authorize(question(ALICE), resource_account=OWN)
    assert decision.text(ACTION) == "because no identity-based policy allows the lambda:InvokeFunction action"


def test_the_deciding_policy_is_named() -> None:
    named = parse(
        {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}},
        kind=PolicyKind.IDENTITY,
        name="no-lambda",
    )
    decision = authorize(question(ALICE), resource_account=OWN, identity=[policy("Allow"), named])
    assert decision.verdict.policy is named


def test_root_needs_no_policy_of_its_own_but_heeds_those_of_resources() -> None:
    assert authorize(question(ROOT), resource_account=OWN).reason is Reason.ALLOWED_ROOT
    assert not authorize(question(ROOT), resource_account=OTHER).allowed
    assert authorize(question(ROOT), resource_account=OTHER, resource=policy("Allow", {"AWS": OWN})).allowed
    assert not authorize(question(ROOT), resource_account=OWN, resource=policy("Deny", {"AWS": OWN})).allowed


@pytest.mark.parametrize("principal", [Principal.service("sns.amazonaws.com"), Principal.anonymous()])
def test_services_and_the_anonymous_have_the_resources_policy_only(principal: Principal) -> None:
    asked = question(principal)
    for resource in (None, policy(None, "*"), policy("Allow", {"AWS": USER})):
        assert authorize(asked, resource_account=OWN, resource=resource).reason is Reason.NO_RESOURCE
    assert authorize(asked, resource_account=OWN, resource=policy("Allow", "*")).allowed
    assert authorize(asked, resource_account=OWN, resource=policy("Allow", {"AWS": "*"})).allowed
    assert not authorize(asked, resource_account=OWN, resource=policy("Deny", "*")).allowed


# ---- principals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("element", "principal", "named"),
    [
        ({"Service": "sns.amazonaws.com"}, Principal.service("sns.amazonaws.com"), True),
        ({"Service": ["a.amazonaws.com", "sns.amazonaws.com"]}, Principal.service("sns.amazonaws.com"), True),
        ({"Service": "sqs.amazonaws.com"}, Principal.service("sns.amazonaws.com"), False),
        ({"AWS": OWN}, Principal.service("sns.amazonaws.com"), False),
        ({"Service": "*"}, Principal.service("sns.amazonaws.com"), True),
        ({"Service": "*"}, ALICE, False),
        ({"Federated": "accounts.google.com"}, Principal.federated("accounts.google.com"), True),
        ({"Federated": "accounts.google.com"}, Principal.service("accounts.google.com"), False),
        ({"AWS": "AIDAALICE1234567"}, ALICE, True),
        ({"AWS": ["123456789012", USER]}, ALICE, True),
        ({"AWS": f"arn:aws:iam::{OWN}:user/alic"}, ALICE, False),
        ({"AWS": f"arn:aws:iam::{OWN}:user/Alice"}, ALICE, False),
        ({"AWS": OTHER}, ALICE, False),
        ({"AWS": OTHER}, STRANGER, True),
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, STRANGER, True),
        ({"AWS": ROLE}, WORKER, True),
        ({"AWS": f"arn:aws:sts::{OWN}:assumed-role/worker/two"}, WORKER, False),
        ({"AWS": USER, "Service": "sns.amazonaws.com"}, Principal.service("sns.amazonaws.com"), True),
        ({"CanonicalUser": "79a5"}, ALICE, False),
        ("*", Principal.anonymous(), True),
        ({"AWS": USER}, Principal.anonymous(), False),
    ],
)
def test_principal_elements_mean(element: Any, principal: Principal, named: bool) -> None:
    found = evaluate(policy("Allow", element), question(principal)).effect
    assert found is (Effect.ALLOW if named else Effect.NONE)


def denies_all_but(*names: str, **kinds: str) -> Policy:
    element = {"AWS": list(names)} if names else kinds
    statement = {"Effect": "Deny", "NotPrincipal": element, "Action": "*", "Resource": "*"}
    return parse({"Version": "2012-10-17", "Statement": statement})


@pytest.mark.parametrize(
    ("denying", "principal", "denied"),
    [
        (denies_all_but(USER, OWN), ALICE, False),
        (denies_all_but(USER), ALICE, True),
        (denies_all_but(OWN), ALICE, True),
        (denies_all_but(OWN), ROOT, False),
        (denies_all_but(SESSION, ROLE, OWN), WORKER, False),
        (denies_all_but(ROLE, OWN), WORKER, True),
        (denies_all_but(SESSION, ROLE), WORKER, True),
        (denies_all_but(USER, OWN), STRANGER, True),
        (denies_all_but(USER, OWN), Principal.anonymous(), True),
        (denies_all_but(Service="sns.amazonaws.com"), Principal.service("sns.amazonaws.com"), False),
        (denies_all_but(Service="sns.amazonaws.com"), Principal.service("sqs.amazonaws.com"), True),
    ],
)
def test_not_principal_excepts_whom_it_names_at_every_level(
    denying: Policy, principal: Principal, denied: bool
) -> None:
    assert (evaluate(denying, question(principal)).effect is Effect.DENY) is denied


def test_not_principal_denies_whoever_has_a_permissions_boundary() -> None:
    policies: Any = {"identity": [policy("Allow")], "resource": denies_all_but(USER, OWN)}
    assert authorize(question(ALICE), resource_account=OWN, **policies).allowed
    decision = authorize(question(ALICE), resource_account=OWN, boundary=policy("Allow"), **policies)
    assert decision.reason is Reason.DENIED_BY_RESOURCE


def test_callers_are_known_by_every_name_they_have() -> None:
    caller = Caller(OWN, SESSION, "AROAWORKER123456:one", "ASIA", kind="role", name="worker", principal_arn=ROLE)
    session = Principal.of_caller(caller)
    assert session.is_session
    assert {SESSION, ROLE, OWN, f"arn:aws:iam::{OWN}:root", "AROAWORKER123456"} <= session.names
    assert Principal.of_caller(Caller.root(OWN, "AKIA")).is_root
    china = Principal.aws(OWN, f"arn:aws-cn:iam::{OWN}:user/a")
    assert china.reach_of(f"arn:aws-cn:iam::{OWN}:root") is Reach.ACCOUNT


# ---- actions and resources -----------------------------------------------------------------------------------------


def applies(action: str = ACTION, resource: str = FUNCTION, context: Any = None, **elements: Any) -> bool:
    statement = {"Effect": "Allow", **elements}
    if "NotAction" not in elements:
        statement.setdefault("Action", "*")
    if "NotResource" not in elements:
        statement.setdefault("Resource", "*")
    read = parse({"Version": "2012-10-17", "Statement": statement}, kind=PolicyKind.AUTHORIZER)
    return evaluate(read, Question(action, resource, context=context or {})).effect is Effect.ALLOW


def test_actions_take_wildcards_and_no_notice_of_case() -> None:
    assert applies(Action=["s3:*", "LAMBDA:invoke*"])
    assert applies(Action="lambda:Invoke?unction")
    assert applies(action="Lambda:INVOKEfunction", Action="lambda:InvokeFunction")
    assert not applies(Action=["lambda:Invoke", "lambda:*InvokeFunctionX", "s3:*"])
    assert not applies(context={"name": ["InvokeFunction"]}, Action="lambda:${name}")


def test_not_action_and_not_resource_take_the_rest() -> None:
    assert applies(NotAction=["s3:*", "iam:*"])
    assert not applies(NotAction=["s3:*", "lambda:*"])
    assert applies(NotResource="arn:aws:s3:::b")
    assert not applies(NotResource=["arn:aws:s3:::b", FUNCTION])


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        (FUNCTION, FUNCTION, True),
        (FUNCTION, FUNCTION.upper(), False),
        (FUNCTION, f"{FUNCTION}:prod", False),
        (f"{FUNCTION}:*", f"{FUNCTION}:prod", True),
        (f"{FUNCTION}*", f"{FUNCTION}:prod", True),
        ("arn:aws:lambda:*:*:function:h*o", FUNCTION, True),
        ("arn:aws:lambda:us-????-1:*:*", FUNCTION, True),
        ("arn:aws:lambda", FUNCTION, True),
        ("arn:aws:lambda:us-east-1", FUNCTION, True),
        ("arn:aws:sqs", FUNCTION, False),
        # No wildcard reaches over a colon between the parts.
        ("arn:aws:lambda:*:function:hello", FUNCTION, False),
        ("arn:aws:*:hello", FUNCTION, False),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b:c", True),
        ("*", FUNCTION, True),
        ("*", "*", True),
        (FUNCTION, "*", False),
        ("arn:aws:iam::*:user/${aws:username}", f"arn:aws:iam::{OWN}:user/alice", True),
        ("arn:aws:iam::*:user/${aws:username}", f"arn:aws:iam::{OWN}:user/bob", False),
        ("arn:aws:iam::*:user/${aws:nothing}", f"arn:aws:iam::{OWN}:user/", False),
        ("arn:aws:s3:::${aws:nothing, 'b'}/*", "arn:aws:s3:::b/x", True),
    ],
)
def test_resources_are_matched_part_by_part(pattern: str, resource: str, matches: bool) -> None:
    context = {"aws:username": ["alice"]}
    assert applies(resource=resource, context=context, Resource=pattern) is matches
    assert applies(resource=resource, context=context, NotResource=pattern) is not matches


# ---- what no change of policies can do -----------------------------------------------------------------------------

STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Action": st.sampled_from(["*", "lambda:*", ACTION, "s3:*", ["s3:Get*", "lambda:Inv*"]]),
        "Resource": st.sampled_from(["*", FUNCTION, "arn:aws:s3:::b", "arn:aws:lambda:*:*:function:${aws:username}"]),
    },
    optional={
        "Condition": st.dictionaries(
            st.sampled_from(
                [
                    *(f"{prefix}String{name}" for prefix in ("", "ForAllValues:", "ForAnyValue:")
                      for name in ("Equals", "NotEquals", "Like", "NotLikeIfExists")),
                ]
            ),
            st.dictionaries(
                st.sampled_from(["aws:username", "aws:TagKeys"]), st.sampled_from(["hello", "h*", ["a", "b"]])
            ),
            max_size=2,
        ),
    },
)  # fmt: skip
PRINCIPALS = st.sampled_from(["*", {"AWS": USER}, {"AWS": ROLE}, {"AWS": SESSION}, {"AWS": OWN}, {"AWS": OTHER}])
LISTS = st.lists(STATEMENTS, min_size=1, max_size=4)
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "aws:username": st.sampled_from([["hello"], ["other"]]),
        "aws:tagkeys": st.lists(st.sampled_from(["a", "b", "hello"]), max_size=2),
    },
)


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    """Documents by what they are attached to, and a question."""
    asker = draw(st.sampled_from([ALICE, WORKER, STRANGER, ROOT, Principal.anonymous()]))
    return {
        "question": Question(ACTION, FUNCTION, asker, draw(CONTEXTS)),
        "identity": draw(LISTS),
        "resource": draw(st.none() | st.lists(st.tuples(STATEMENTS, PRINCIPALS), min_size=1, max_size=3)),
        "boundary": draw(st.none() | LISTS),
        "session": draw(st.none() | LISTS),
    }


def decide(situation: dict[str, Any]) -> bool:
    def read(name: str) -> Policy | None:
        statements = situation[name]
        if statements is None:
            return None
        if name == "resource":
            statements = [statement | {"Principal": principal} for statement, principal in statements]
        kind = PolicyKind.RESOURCE if name == "resource" else PolicyKind.IDENTITY
        return parse({"Version": "2012-10-17", "Statement": statements}, kind=kind)

    identity, session = read("identity"), read("session")
    return authorize(
        situation["question"],
        resource_account=OWN,
        identity=[identity] if identity else [],
        resource=read("resource"),
        boundary=read("boundary"),
        session=[session] if session else None,
    ).allowed


def with_one_more(situation: dict[str, Any], statement: dict[str, Any], principal: Any) -> Iterator[dict[str, Any]]:
    """The situation with `statement` at the end of each policy that there is."""
    for name in ("identity", "resource", "boundary", "session"):
        if situation[name] is not None:
            added = (statement, principal) if name == "resource" else statement
            yield situation | {name: [*situation[name], added]}


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(situations(), STATEMENTS, PRINCIPALS)
def test_adding_a_deny_never_allows_more(situation: dict[str, Any], statement: dict[str, Any], principal: Any) -> None:
    if not decide(situation):
        for changed in with_one_more(situation, statement | {"Effect": "Deny"}, principal):
            assert not decide(changed)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(situations(), STATEMENTS, PRINCIPALS)
def test_adding_an_allow_never_denies_more(
    situation: dict[str, Any], statement: dict[str, Any], principal: Any
) -> None:
    if decide(situation):
        for changed in with_one_more(situation, statement | {"Effect": "Allow"}, principal):
            assert decide(changed)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(situations(), st.randoms(use_true_random=False))
def test_the_order_of_statements_never_matters(situation: dict[str, Any], random: Any) -> None:
    shuffled = dict(situation)
    for name in ("identity", "resource", "boundary", "session"):
        if situation[name] is not None:
            shuffled[name] = random.sample(situation[name], len(situation[name]))
    assert decide(shuffled) is decide(situation)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(LISTS, max_size=3), CONTEXTS)
def test_the_order_of_policies_never_matters(documents: list[Any], context: Any) -> None:
    policies = [parse({"Version": "2012-10-17", "Statement": found}, kind=PolicyKind.IDENTITY) for found in documents]
    asked = Question(ACTION, FUNCTION, ALICE, context)
    assert {combine(order, asked).effect for order in itertools.permutations(policies)} == {
        combine(policies, asked).effect
    }
