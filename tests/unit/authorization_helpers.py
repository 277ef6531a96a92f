"""Principals in memory, operations as requests name them, and an Authorizer between the two."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from lambent import wire
from lambent.clock import TestClock
from lambent.config import AuthMode
from lambent.context import Caller, Session
from lambent.identity.actions import EntityFacts
from lambent.identity.authorization import Authorizer
from lambent.identity.policy import Policy, PolicyKind, parse
from lambent.identity.principals import Grants, RoleFacts
from lambent.ports import SigningIdentity
from lambent.request import Request

OWN = "000000000000"
OTHER = "111111111111"
REGION = "us-east-1"
MODELS = wire.ApiModels(("lambda", "logs", "sts", "iam", "apigateway", "apigatewayv2", "cloudwatch", "xray"))


def statement(effect: str = "Allow", action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def identity(*statements: dict[str, Any], name: str = "inline") -> Policy:
    return parse(document(*statements), kind=PolicyKind.IDENTITY, name=name)


def trust(**principal: str) -> Policy:
    words = {"Effect": "Allow", "Principal": principal, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    return parse(document(words), kind=PolicyKind.TRUST)


@dataclass
class Everyone:
    """Implements Principals and Entities."""

    granted: dict[str, Grants] = field(default_factory=dict)
    roles: dict[str, RoleFacts] = field(default_factory=dict)
    managed: dict[str, Policy] = field(default_factory=dict)
    entities: dict[tuple[str, str, str], EntityFacts] = field(default_factory=dict)

    def find_key(self, access_key_id: str) -> SigningIdentity | None:
        return None

    def grants(self, caller: Caller) -> Grants:
        return self.granted.get(caller.principal_arn, NOTHING)

    def role(self, arn: str) -> RoleFacts | None:
        return self.roles.get(arn)

    def managed_policy(self, arn: str) -> Policy | None:
        return self.managed.get(arn)

    def facts(self, account: str, kind: str, name: str) -> EntityFacts | None:
        return self.entities.get((account, kind, name))

    def grant(self, caller: Caller, *statements: dict[str, Any], **more: Any) -> None:
        self.granted[caller.principal_arn] = Grants((identity(*statements),) if statements else (), **more)


@dataclass
class Resources:
    """Implements identity.authorization.Resources."""

    policies: dict[str, Policy] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)

    def policy_of(self, arn: str) -> Policy | None:
        return self.policies.get(arn)

    def tags_of(self, arn: str) -> Mapping[str, str]:
        return self.tags.get(arn, {})


@dataclass
class Noted:
    """Implements Audit."""

    notes: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def note(self, caller: Caller, need: Any, decision: Any) -> None:
        self.notes.append((caller.arn, need.action, need.resource, decision.allowed))


NOTHING = Grants()


def user(name: str = "ann", account: str = OWN, path: str = "/") -> Caller:
    arn = f"arn:aws:iam::{account}:user{path}{name}"
    return Caller(account, arn, f"AIDA{name.upper()}", f"AKIA{name.upper()}", "user", name, arn)


def role_session(name: str = "worker", session: Session | None = None, account: str = OWN) -> Caller:
    session = session or Session("one")
    arn = f"arn:aws:sts::{account}:assumed-role/{name}/{session.name}"
    role = f"arn:aws:iam::{account}:role/{name}"
    return Caller(account, arn, f"AROA{name.upper()}:{session.name}", "ASIAONE", "role", name, role, session)


def function(name: str, account: str = OWN) -> str:
    return f"arn:aws:lambda:{REGION}:{account}:function:{name}"


def operation(service: str, name: str, labels: Mapping[str, str] | None = None) -> Any:
    model = MODELS.service(service).operation(name)
    assert model is not None, f"{service} has no {name}"
    protocol = MODELS.service(service).metadata.protocol
    return SimpleNamespace(
        service=service,
        name=name,
        protocol=protocol,
        method=model.http.method,
        uri=model.http.request_uri,
        uri_params=labels or {},
    )


def request(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request("POST", b"/", b"", pairs, b"", "id", client_host="10.1.2.3")


def authorizer(everyone: Everyone, mode: AuthMode = AuthMode.STRICT, **more: Any) -> Authorizer:
    return Authorizer(mode, everyone, everyone, more.pop("clock", TestClock()), **more)
