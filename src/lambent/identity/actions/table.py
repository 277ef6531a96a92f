"""What rows of the table are made of: a call, what it needs, and how a row tells the one from the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from lambent.arn import partition_of
from lambent.context import Caller

#: Condition keys (lower-case) and their values.
Keys = dict[str, Sequence[str]]

#: The resource of actions that know none.
ANYTHING = "*"


@dataclass(frozen=True, slots=True)
class EntityFacts:
    """What policies may ask of a user, group, role or instance profile."""

    arn: str
    #: `AROA…`
    id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    #: ARN of its permissions boundary, "" without.
    boundary: str = ""


class Entities(Protocol):
    def facts(self, account: str, kind: str, name: str) -> EntityFacts | None:
        """By `user`, `group`, `role` or `instance-profile` and name in any case, from memory."""


class Call(msgspec.Struct, frozen=True):
    """One API call, as far as what it needs depends on it."""

    operation: str
    region: str
    caller: Caller
    params: Mapping[str, Any]
    entities: Entities
    #: The method and the URI of the operation's model, and the labels of this call's.
    method: str = "POST"
    uri: str = "/"
    labels: Mapping[str, str] = {}

    @property
    def account(self) -> str:
        return self.caller.account

    def arn(self, service: str, resource: str) -> str:
        """Of the caller's account, in the call's region."""
        return f"arn:{partition_of(self.region)}:{service}:{self.region}:{self.caller.account}:{resource}"


class Need(msgspec.Struct, frozen=True):
    """One action on one resource that the caller must be allowed."""

    #: `lambda:InvokeFunction`
    action: str
    resource: str
    #: The service's condition keys, of this call.
    keys: Mapping[str, Sequence[str]] = {}
    #: What refusals call the resource, where AWS's do not say its ARN.
    shown: str = ""
    #: The whole refusal, where AWS words it otherwise.
    refusal: str = ""


Resource = Callable[[Call], str]
Further = Callable[[Call], Iterable[Need]]


class Row(msgspec.Struct, frozen=True):
    """What one operation needs. `action` without the service's prefix; the operation's own name where it is ""."""

    resource: Resource = lambda _call: ANYTHING
    action: str = ""
    keys: Callable[[Call], Keys] | None = None
    shown: Callable[[Call], str] | None = None
    #: Needs of other actions, of some calls alone.
    also: tuple[Further, ...] = ()
    #: Whether the resource may have a policy of its own, and be another account's.
    shared: bool = False
    #: Parameter that names a shared resource: by a plain name, or by an ARN (all or part of it), which has colons.
    named_by: str = ""
    #: Whether AWS keeps the reason out of refusals.
    terse: bool = False


def same_arn(arn: str) -> str:
    """`arn` in the partition of its region: services look at no other, so that no other way of writing it leads past
    what policies say of it."""
    parts = arn.split(":", 5)
    return f"arn:{partition_of(parts[3])}:{':'.join(parts[2:])}" if len(parts) == 6 else arn


def tag_keys(tags: Mapping[str, str]) -> Keys:
    """aws:RequestTag/… and aws:TagKeys of tags that a call brings."""
    if not tags:
        return {}
    keys: Keys = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    keys["aws:tagkeys"] = tuple(tags)
    return keys


def listed_tags(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """From `[{"Key": …, "Value": …}]`."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags or ()}
