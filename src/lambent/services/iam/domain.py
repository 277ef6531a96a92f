"""Users, groups, roles, managed policies and instance profiles as frozen values: each one is one stored document.

An entity holds what is its own: inline policies, the ARNs of what is attached to it, a user's keys and the ids of its
groups. Others are referred to by ARN (managed policies, which keep their names) or by unique id (all else), so that a
rename touches nothing else. IAM knows no regions: an entity is its account's.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, NamedTuple

import msgspec

#: The partition of every IAM ARN: one account serves all region names, so there can be but one.
PARTITION = "aws"
#: Whose the AWS-managed policies are, as their ARNs say.
AWS = "aws"
ROOT_PATH = "/"

_ID_ALPHABET = string.ascii_uppercase + "234567"
_ID_LENGTH = 17

Strings = Mapping[str, str]


class Relation(StrEnum):
    """How one entity refers to another."""

    #: A managed policy (by ARN) is attached to it.
    ATTACHED = "attached"
    #: A managed policy (by ARN) is its permissions boundary.
    BOUNDARY = "boundary"
    #: A user is in a group (by id).
    GROUP = "group"
    #: A role (by id) is in an instance profile.
    ROLE = "role"
    #: A role trusts a user or a role (by id), of whatever account.
    TRUSTED = "trusted"


class Reference(NamedTuple):
    relation: Relation
    #: ARN of a managed policy; unique id of anything else.
    target: str


class Entity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all nouns have. `tags` in the order given."""

    account: str
    name: str
    #: Begins and ends with `/`.
    path: str
    #: `AIDA…`; never given twice.
    id: str
    #: Seconds since the epoch.
    created: int
    tags: Strings = {}

    #: The noun in ARNs, and the row's kind: `user`.
    kind: ClassVar[str]
    #: The noun in sentences: `The user with name x cannot be found.`
    noun: ClassVar[str]
    id_prefix: ClassVar[str]

    @property
    def arn(self) -> str:
        return f"arn:{PARTITION}:iam::{self.account}:{self.kind}{self.path}{self.name}"

    @property
    def references(self) -> frozenset[Reference]:
        """What it refers to; the store keeps them findable from their targets."""
        return frozenset()


class Holder(Entity, frozen=True, kw_only=True, omit_defaults=True):
    """What policies grant to: users, groups and roles."""

    #: Inline policies as sent, by name.
    inline: Strings = {}
    #: ARNs of managed policies, in the order of their attachment.
    attached: tuple[str, ...] = ()

    @property
    def references(self) -> frozenset[Reference]:
        return frozenset(Reference(Relation.ATTACHED, arn) for arn in self.attached)


class Bounded(Holder, frozen=True, kw_only=True, omit_defaults=True):
    """Users and roles: what may be limited."""

    #: ARN of the managed policy that is its permissions boundary, "" without.
    boundary: str = ""

    @property
    def references(self) -> frozenset[Reference]:
        bounds = (Reference(Relation.BOUNDARY, self.boundary),) if self.boundary else ()
        return super().references | frozenset(bounds)


class AccessKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    #: `AKIA…`
    id: str
    #: The secret access key as `SecretBox` sealed it; nothing else of it is stored.
    sealed: bytes
    created: int
    active: bool = True


class User(Bounded, frozen=True, kw_only=True, omit_defaults=True):
    #: Ids of its groups, in the order of joining.
    groups: tuple[str, ...] = ()
    access_keys: tuple[AccessKey, ...] = ()

    kind: ClassVar[str] = "user"
    noun: ClassVar[str] = "user"
    id_prefix: ClassVar[str] = "AIDA"

    @property
    def references(self) -> frozenset[Reference]:
        return super().references | frozenset(Reference(Relation.GROUP, group) for group in self.groups)

    def access_key(self, access_key_id: str) -> AccessKey | None:
        return next((key for key in self.access_keys if key.id == access_key_id), None)


class Group(Holder, frozen=True, kw_only=True, omit_defaults=True):
    kind: ClassVar[str] = "group"
    noun: ClassVar[str] = "group"
    id_prefix: ClassVar[str] = "AGPA"


class Role(Bounded, frozen=True, kw_only=True, omit_defaults=True):
    #: The trust policy (AssumeRolePolicyDocument) as sent.
    trust: str
    #: Ids of the users and roles that the trust policy names, by their ARNs in it.
    trusted: Strings = {}
    #: None where none was given: answers then leave it out.
    description: str | None = None
    max_session_s: int = 3600

    kind: ClassVar[str] = "role"
    noun: ClassVar[str] = "role"
    id_prefix: ClassVar[str] = "AROA"

    @property
    def references(self) -> frozenset[Reference]:
        return super().references | frozenset(Reference(Relation.TRUSTED, one) for one in self.trusted.values())


class PolicyVersion(msgspec.Struct, frozen=True, kw_only=True):
    #: 1 for `v1`; never given twice.
    number: int
    #: As sent.
    document: str
    created: int

    @property
    def id(self) -> str:
        return f"v{self.number}"


class ManagedPolicy(Entity, frozen=True, kw_only=True, omit_defaults=True):
    """A customer's, or with the account `aws` one that every account sees and none may change."""

    #: In the order of their numbers.
    versions: tuple[PolicyVersion, ...]
    default_number: int = 1
    #: The highest number ever given.
    last_number: int = 1
    #: When its newest version was made.
    updated: int
    description: str | None = None

    kind: ClassVar[str] = "policy"
    noun: ClassVar[str] = "policy"
    id_prefix: ClassVar[str] = "ANPA"

    @property
    def is_of_aws(self) -> bool:
        return self.account == AWS

    @property
    def default(self) -> PolicyVersion:
        return next(version for version in self.versions if version.number == self.default_number)

    def version(self, version_id: str) -> PolicyVersion | None:
        """By `v1`."""
        return next((version for version in self.versions if version.id == version_id), None)


class InstanceProfile(Entity, frozen=True, kw_only=True, omit_defaults=True):
    #: The id of the one role that AWS lets it hold, "" without.
    role: str = ""

    kind: ClassVar[str] = "instance-profile"
    noun: ClassVar[str] = "instance profile"
    id_prefix: ClassVar[str] = "AIPA"

    @property
    def references(self) -> frozenset[Reference]:
        return frozenset((Reference(Relation.ROLE, self.role),)) if self.role else frozenset()


class KeyUse(msgspec.Struct, frozen=True):
    """The last use of an access key or a role that is on record."""

    #: Seconds since the epoch.
    at: int
    #: The service and region of the signature: `lambda`, `us-east-1`.
    service: str
    region: str


KINDS: tuple[type[Entity], ...] = (User, Group, Role, ManagedPolicy, InstanceProfile)


def key_of(name: str) -> str:
    """Names are told apart without regard to case."""
    return name.lower()


def new_id(kind: type[Entity]) -> str:
    """A unique id: `AIDA` and 17 more."""
    return kind.id_prefix + "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))


def path_and_name(arn: str) -> tuple[str, str, str] | None:
    """(kind, path, name) of what an IAM ARN names: `role`, `/team/`, `worker`."""
    resource = arn.split(":", 5)[-1]
    kind, slash, rest = resource.partition("/")
    path, _, name = f"/{rest}".rpartition("/")
    return (kind, f"{path}/", name) if slash and name else None
