"""What IAM asks of requests beyond the model, decided without I/O: quotas, tags, ARNs, who is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lambent.context import Context
from lambent.services.iam.domain import Entity, Group, InstanceProfile, ManagedPolicy, Role, User
from lambent.services.iam.errors import (
    InvalidInputException,
    LimitExceededException,
    UnmodifiableEntityException,
    ValidationError,
)

#: How many an account has at most, and what the quota is called.
ACCOUNT_QUOTAS: Mapping[type[Entity], tuple[str, int]] = {
    User: ("UsersPerAccount", 5000),
    Group: ("GroupsPerAccount", 300),
    Role: ("RolesPerAccount", 1000),
    ManagedPolicy: ("PoliciesPerAccount", 1500),
    InstanceProfile: ("InstanceProfilesPerAccount", 1000),
}
ATTACHED_QUOTAS: Mapping[str, tuple[str, int]] = {
    "user": ("PoliciesPerUser", 10),
    "group": ("PoliciesPerGroup", 10),
    "role": ("PoliciesPerRole", 10),
}
GROUPS_PER_USER = 10
ACCESS_KEYS_PER_USER = 2
VERSIONS_PER_POLICY = 5

#: Where the roles live that services make for themselves.
SERVICE_PATH = "/aws-service-role/"

_POLICY_ARN = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/.+", re.ASCII)


def check_quota(name: str, most: int, count: int) -> None:
    """`count`: with the one that is being added. Raises LimitExceededException."""
    if count > most:
        raise LimitExceededException(f"Cannot exceed quota for {name}: {most}")


def check_policy_arn(arn: str, error: type[ValidationError | InvalidInputException] = ValidationError) -> None:
    """Raises `error`: what attaches says so in another way than what limits."""
    if not _POLICY_ARN.fullmatch(arn):
        raise error(f"ARN {arn} is not valid.")


def given_tags(tags: Iterable[Mapping[str, str]] | None, kind: type[Entity]) -> dict[str, str]:
    """`Tags` of a request. Raises InvalidInputException for a key that comes twice."""
    given = {tag["Key"]: tag["Value"] for tag in tags or ()}
    # Those of policies are told apart by case, those of everything else are not.
    if kind is ManagedPolicy:
        if len(given) < len(list(tags or ())):
            raise InvalidInputException("Duplicate tag keys found.")
    elif len({key.lower() for key in given}) < len(list(tags or ())):
        raise InvalidInputException("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    return given


def user_name(context: Context, params: Mapping[str, Any]) -> str:
    """The user that is meant; without a name the one who asks. Raises ValidationError where that is no user."""
    given = params.get("UserName")
    if given is not None:
        return str(given)
    if context.caller.kind != "user" or not context.caller.name:
        raise ValidationError("Must specify userName when calling with non-User credentials")
    return context.caller.name


def check_modifiable(entity: Entity) -> None:
    """Raises UnmodifiableEntityException for a role that is its service's."""
    if isinstance(entity, Role) and entity.path.startswith(SERVICE_PATH):
        raise UnmodifiableEntityException(
            f"Cannot perform the operation on the protected role '{entity.name}' - this role is only modifiable by AWS"
        )


def check_own_path(role: Role) -> None:
    """Raises InvalidInputException for a role that only CreateServiceLinkedRole could make."""
    if role.path.startswith(SERVICE_PATH):
        raise InvalidInputException(f"The path {SERVICE_PATH} is kept for service-linked roles.")
