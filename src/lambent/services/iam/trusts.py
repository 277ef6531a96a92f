"""Whom trust policies name: users and roles are meant by their ids, as AWS means them.

So trust in somebody who is gone passes to nobody who is made under the same name: the policy then shows an id, and
trusts nobody. A user that is renamed stays trusted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from lambent.services.iam.domain import Entity, Role, User, path_and_name
from lambent.services.iam.errors import MalformedPolicyDocumentException
from lambent.services.iam.store import EntityStore

_KINDS: Mapping[str, type[Entity]] = {"user": User, "role": Role}


def resolved(store: EntityStore, tx: Connection, role: Role) -> Role:
    """`role` with the ids of whom its trust policy names.

    Raises MalformedPolicyDocumentException for one of its account that does not exist. Those of other accounts may be
    beyond this region, and stay names.
    """
    trusted: dict[str, str] = {}
    for arn in sorted(_named(json.loads(role.trust))):
        found = _find(store, tx, arn)
        if found is not None:
            trusted[arn] = found.id
        elif arn.split(":")[4] == role.account:
            raise MalformedPolicyDocumentException(f'Invalid principal in policy: "AWS":"{arn}"')
    return msgspec.structs.replace(role, trusted=trusted)


def renamed(role: Role, entity: Entity, name: str) -> Role:
    """`role` naming `name` (another ARN, or an id) where it named `entity`; an id counts as trust in nobody new."""
    document = json.loads(role.trust)
    known = {arn for arn, entity_id in role.trusted.items() if entity_id == entity.id}
    _rename(document, lambda arn: name if arn in known else arn)
    trusted = {name if arn in known else arn: entity_id for arn, entity_id in role.trusted.items()}
    return msgspec.structs.replace(role, trust=json.dumps(document), trusted=trusted)


def meant(role: Role) -> str | Mapping[str, Any]:
    """The trust policy as it is evaluated: by ids."""
    if not role.trusted:
        return role.trust
    document: dict[str, Any] = json.loads(role.trust)
    _rename(document, lambda arn: role.trusted.get(arn, arn))
    return document


def _find(store: EntityStore, tx: Connection, arn: str) -> Entity | None:
    parts = path_and_name(arn)
    kind = None if parts is None else _KINDS.get(parts[0])
    if parts is None or kind is None:
        return None
    found = store.find(tx, kind, arn.split(":")[4], parts[2])
    return found if found is not None and found.arn == arn else None


def _named(document: Mapping[str, Any]) -> set[str]:
    """ARNs of users and roles in it."""
    names: set[str] = set()

    def note(name: str) -> str:
        parts = name.split(":", 5)
        if len(parts) == 6 and parts[2] == "iam" and parts[5].startswith(("user/", "role/")):
            names.add(name)
        return name

    _rename(document, note)
    return names


def _rename(document: Mapping[str, Any], rename: Callable[[str], str]) -> None:
    """Put `rename` of each AWS principal in its place; the document has been read as a policy before."""
    statements = document["Statement"]
    for statement in [statements] if isinstance(statements, dict) else statements:
        for element in ("Principal", "NotPrincipal"):
            principal = statement.get(element)
            if isinstance(principal, dict) and "AWS" in principal:
                named = principal["AWS"]
                principal["AWS"] = rename(named) if isinstance(named, str) else [rename(name) for name in named]
