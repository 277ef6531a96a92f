"""What callers needed: kept within bounds, told again after a restart, and made into a policy that is just enough."""

from __future__ import annotations

from typing import Any

from authorization_helpers import OWN, identity, role_session, user

from lambent.clock import TestClock
from lambent.identity.actions import Need
from lambent.identity.audit import LIMIT, AuditLog, Use, least_privilege
from lambent.identity.policy import Decision, Effect, Question, Reason, evaluate

YES, NO = Decision(True, Reason.ALLOWED_BY_IDENTITY), Decision(False, Reason.NO_IDENTITY)
GROUP = f"arn:aws:logs:us-east-1:{OWN}:log-group:/g"


def used(*pairs: tuple[str, str]) -> list[Use]:
    return [Use(action, resource, 1) for action, resource in pairs]


def test_needs_are_counted_by_user_and_role() -> None:
    log = AuditLog(TestClock(10.0))
    for session in ("one", "two"):
        log.note(role_session(session=role_session().session), Need("lambda:GetFunction", session), YES)
    log.note(user(), Need("lambda:GetFunction", "*"), YES)
    log.note(user(), Need("lambda:GetFunction", "*"), NO)
    assert log.principals() == [f"arn:aws:iam::{OWN}:role/worker", f"arn:aws:iam::{OWN}:user/ann"]
    assert log.uses(f"arn:aws:iam::{OWN}:user/ann") == [
        Use(
            "lambda:GetFunction",
            "*",
            2,
            1,
            "because no identity-based policy allows the lambda:GetFunction action",
            10.0,
        )
    ]
    assert log.uses("nobody") == []


def test_what_there_is_no_room_for_is_counted() -> None:
    log = AuditLog(TestClock())
    for number in range(LIMIT + 3):
        log.note(user(), Need("lambda:GetFunction", str(number)), YES)
    log.note(user(), Need("lambda:GetFunction", "0"), YES)
    assert log.dropped == 3
    assert len(log.uses(user().arn)) == LIMIT
    log.clear()
    assert (log.dropped, log.principals()) == (0, [])


def test_it_is_the_same_after_a_restart() -> None:
    log, again = AuditLog(TestClock()), AuditLog(TestClock())
    log.note(user(), Need("lambda:GetFunction", "*"), NO)
    again.load(log.dump())
    assert again.uses(user().arn) == log.uses(user().arn)


def test_actions_on_the_same_resources_share_a_statement() -> None:
    policy: Any = least_privilege(
        used(
            ("logs:PutLogEvents", f"{GROUP}:log-stream:2026/a"),
            ("logs:PutLogEvents", f"{GROUP}:log-stream:2026/b"),
            ("logs:CreateLogGroup", f"{GROUP}:log-stream:"),
            ("lambda:ListFunctions", "*"),
            ("iam:ListUsers", "*"),
        )
    )
    assert policy["Statement"] == [
        {"Effect": "Allow", "Action": ["iam:ListUsers"], "Resource": "*"},
        {"Effect": "Allow", "Action": ["lambda:ListFunctions"], "Resource": "*"},
        {"Effect": "Allow", "Action": ["logs:CreateLogGroup", "logs:PutLogEvents"], "Resource": f"{GROUP}:*"},
    ]
    assert least_privilege([]) is None


def test_what_was_used_is_allowed_and_nothing_beside_it() -> None:
    uses = used(("logs:PutLogEvents", f"{GROUP}:log-stream:s"), ("lambda:GetFunction", "arn:aws:lambda:r:1:function:f"))
    made = least_privilege(uses)
    assert made is not None
    policy = identity(*made["Statement"])

    def allows(action: str, resource: str) -> bool:
        return evaluate(policy, Question(action, resource)).effect is Effect.ALLOW

    assert all(allows(use.action, use.resource) for use in uses)
    assert not allows("logs:PutLogEvents", f"{GROUP}2:log-stream:s")
    assert not allows("lambda:GetFunction", "arn:aws:lambda:r:1:function:f2")
    assert not allows("lambda:PutLogEvents", f"{GROUP}:log-stream:s")
