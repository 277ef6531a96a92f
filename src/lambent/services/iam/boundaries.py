"""Permissions boundaries: a managed policy that limits a user or a role."""

from __future__ import annotations

from sqlalchemy import Connection

from lambent.services.iam.domain import Bounded
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import InvalidInputException, NoSuchEntityException
from lambent.services.iam.rules import check_policy_arn


def check_boundary(entities: Entities, tx: Connection, entity: Bounded) -> None:
    """Raises InvalidInputException, NoSuchEntityException."""
    if not entity.boundary:
        return
    check_policy_arn(entity.boundary, InvalidInputException)
    if entities.store.find_policy(tx, entity.account, entity.boundary) is None:
        raise NoSuchEntityException(f"Scope ARN: {entity.boundary} does not exist or is not attachable.")
