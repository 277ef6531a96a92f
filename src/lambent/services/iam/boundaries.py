"""Permissions boundaries: a managed policy that limits a user or a role."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import Connection

from lambent.services.iam.domain import Bounded
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import InvalidInputException, NoSuchEntityException
from lambent.services.iam.rules import check_policy_arn

B = TypeVar("B", bound=Bounded)


def with_boundary(entities: Entities, tx: Connection, entity: B) -> B:
    """`entity`, whose boundary is there. Raises InvalidInputException, NoSuchEntityException."""
    if not entity.boundary:
        return entity
    check_policy_arn(entity.boundary, InvalidInputException)
    if entities.store.find_policy(tx, entity.account, entity.boundary) is None:
        raise NoSuchEntityException(f"Scope ARN: {entity.boundary} does not exist or is not attachable.")
    return entity
