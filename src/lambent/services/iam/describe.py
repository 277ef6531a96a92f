"""Entities as IAM's answers show them. Which members an answer leaves out differs by operation, as recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from lambent.services.iam.domain import (
    AccessKey,
    Bounded,
    Entity,
    Group,
    InstanceProfile,
    KeyUse,
    ManagedPolicy,
    PolicyVersion,
    Role,
    User,
)

Described = dict[str, Any]


def user(user: User) -> Described:
    return {**_entity(user, "User"), **boundary(user), **tags_if_any(user)}


def listed_user(user: User) -> Described:
    return _entity(user, "User")


def group(group: Group) -> Described:
    return _entity(group, "Group")


def role(role: Role, use: KeyUse | None) -> Described:
    """For GetRole; `use` is the last one."""
    return {**listed_role(role), **boundary(role), **tags_if_any(role), "RoleLastUsed": role_use(use)}


def role_use(use: KeyUse | None) -> Described:
    return {} if use is None else {"LastUsedDate": date(use.at), "Region": use.region}


def created_role(role: Role) -> Described:
    """AWS does not repeat what the description and the longest session are."""
    return {**_role(role), **boundary(role), **tags_if_any(role)}


def described_role(role: Role) -> Described:
    """For UpdateRoleDescription."""
    return {**_role(role), **_description(role.description), **boundary(role), **tags_if_any(role)}


def listed_role(role: Role) -> Described:
    return {**_role(role), **_description(role.description), "MaxSessionDuration": role.max_session_s}


def nested_role(role: Role) -> Described:
    """Inside another entity, and of a service's own."""
    return _role(role)


def instance_profile(profile: InstanceProfile, roles: Iterable[Role]) -> Described:
    return {**_entity(profile, "InstanceProfile"), "Roles": [nested_role(role) for role in roles]}


def policy(policy: ManagedPolicy, attached: int, bounds: int) -> Described:
    """For GetPolicy. `attached` and `bounds`: how many entities of the account it is attached to, and limits."""
    return {
        **listed_policy(policy, attached, bounds),
        **_description(policy.description),
        "Tags": tags(policy.tags),
    }


def created_policy(policy: ManagedPolicy) -> Described:
    return {**listed_policy(policy, 0, 0), **tags_if_any(policy)}


def listed_policy(policy: ManagedPolicy, attached: int, bounds: int) -> Described:
    return {
        **_entity(policy, "Policy"),
        "DefaultVersionId": policy.default.id,
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": bounds,
        "IsAttachable": True,
        "UpdateDate": date(policy.updated),
    }


def listed_version(policy: ManagedPolicy, version: PolicyVersion) -> Described:
    return {
        "VersionId": version.id,
        "IsDefaultVersion": version.number == policy.default_number,
        "CreateDate": date(version.created),
    }


def version(policy: ManagedPolicy, version: PolicyVersion) -> Described:
    return {**listed_version(policy, version), "Document": document(version.document)}


def access_key(user: User, key: AccessKey) -> Described:
    return {
        "UserName": user.name,
        "AccessKeyId": key.id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": date(key.created),
    }


def key_use(use: KeyUse | None) -> Described:
    if use is None:
        return {"ServiceName": "N/A", "Region": "N/A"}
    return {"LastUsedDate": date(use.at), "ServiceName": use.service, "Region": use.region}


def boundary(entity: Bounded) -> Described:
    if not entity.boundary:
        return {}
    return {"PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": entity.boundary}}


def tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_if_any(entity: Entity) -> Described:
    return {"Tags": tags(entity.tags)} if entity.tags else {}


def document(text: str) -> str:
    """A policy as answers carry it: percent-encoded whole."""
    return quote(text, safe="")


def date(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _entity(entity: Entity, noun: str) -> Described:
    return {
        "Path": entity.path,
        f"{noun}Name": entity.name,
        f"{noun}Id": entity.id,
        "Arn": entity.arn,
        "CreateDate": date(entity.created),
    }


def _role(role: Role) -> Described:
    return {**_entity(role, "Role"), "AssumeRolePolicyDocument": document(role.trust)}


def _description(text: str | None) -> Described:
    return {} if text is None else {"Description": text}
