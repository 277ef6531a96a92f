"""Who has a managed policy, attached or as a boundary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import paging, rules
from lambent.services.iam.domain import Entity, Group, Relation, Role, User, key_of
from lambent.services.iam.entities import Entities

_RELATIONS: Mapping[str | None, tuple[Relation, ...]] = {
    None: (Relation.ATTACHED, Relation.BOUNDARY),
    "PermissionsPolicy": (Relation.ATTACHED,),
    "PermissionsBoundary": (Relation.BOUNDARY,),
}
_KINDS: Mapping[type[Entity], str] = {Group: "Group", User: "User", Role: "Role"}


class PolicyUseOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def ListEntitiesForPolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        arn, wanted = params["PolicyArn"], params.get("EntityFilter")
        prefix = params.get("PathPrefix") or "/"
        rules.check_policy_arn(arn)

        def read(tx: Connection) -> list[Entity]:
            self._entities.get_policy(tx, context.account, arn)
            found: dict[str, Entity] = {}
            for kind in [kind for kind, name in _KINDS.items() if wanted in (None, name)]:
                for relation in _RELATIONS[params.get("PolicyUsageFilter")]:
                    users = self._entities.store.referring(tx, kind, context.account, relation, arn)
                    found |= {entity.id: entity for entity in users if entity.path.startswith(prefix)}
            return list(found.values())

        page = paging.of_all("Found", await self._entities.read(read), params, _key, lambda entity: entity)
        shown: list[Entity] = page.pop("Found")
        for kind, name in _KINDS.items():
            page[f"Policy{name}s"] = [
                {f"{name}Name": entity.name, f"{name}Id": entity.id} for entity in shown if isinstance(entity, kind)
            ]
        return page


def _key(entity: Entity) -> str:
    return f"{entity.kind} {key_of(entity.name)}"
