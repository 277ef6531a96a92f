"""The account as a whole: its alias, how much it has of everything, and all of it in detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import describe, documents, managed, paging, rules
from lambent.services.iam.accounts import Accounts
from lambent.services.iam.domain import (
    AWS,
    Entity,
    Group,
    Holder,
    InstanceProfile,
    ManagedPolicy,
    Relation,
    Role,
    User,
    key_of,
    path_and_name,
)
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import NoSuchEntityException

Detail = dict[str, Any]

#: Member of the answer → what it lists, in the order of pages.
_LISTS: Mapping[str, str] = {
    "user": "UserDetailList",
    "group": "GroupDetailList",
    "role": "RoleDetailList",
    "policy": "Policies",
}
_FILTERS: Mapping[str, type[Entity]] = {
    "User": User,
    "Group": Group,
    "Role": Role,
    "LocalManagedPolicy": ManagedPolicy,
    "AWSManagedPolicy": ManagedPolicy,
}


class AccountOperations:
    def __init__(self, entities: Entities, accounts: Accounts) -> None:
        self._entities = entities
        self._accounts = accounts

    # ---- alias ----

    async def CreateAccountAlias(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        await self._accounts.set_alias(context.account, params["AccountAlias"])
        return {}

    async def DeleteAccountAlias(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        alias = params["AccountAlias"]
        if not await self._accounts.delete_alias(context.account, alias):
            raise NoSuchEntityException(f"The account alias {alias} cannot be found.")
        return {}

    async def ListAccountAliases(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        alias = await self._accounts.alias(context.account)
        return {"AccountAliases": [] if alias is None else [alias], "IsTruncated": False}

    # ---- summary ----

    async def GetAccountSummary(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def read(tx: Connection) -> tuple[Mapping[str, int], int]:
            store, account = self._entities.store, context.account
            policies = store.page(tx, ManagedPolicy, account, limit=rules.ACCOUNT_QUOTAS[ManagedPolicy][1])
            return store.counts(tx, account), sum(len(policy.versions) for policy in policies)

        counts, versions = await self._entities.read(read)
        return {"SummaryMap": {**_QUOTAS, **_counted(counts), "PolicyVersionsInUse": versions}}

    # ---- everything ----

    async def GetAccountAuthorizationDetails(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        wanted = set(params.get("Filter") or _FILTERS)

        def read(tx: Connection) -> dict[str, Any]:
            reading = _Reading(self._entities, tx, context.account)
            found = [entity for kind in (User, Group, Role) if kind.__name__ in wanted for entity in reading.all(kind)]
            found += reading.policies(wanted)
            return _page(found, params, reading.detail)

        return await self._entities.read(read)


class _Reading:
    """One account in one transaction."""

    def __init__(self, entities: Entities, tx: Connection, account: str) -> None:
        self._store = entities.store
        self._uses = entities.uses
        self._uses = entities.uses
        self._tx = tx
        self._account = account
        self._attached = self._store.reference_counts(tx, account, Relation.ATTACHED)
        self._bounds = self._store.reference_counts(tx, account, Relation.BOUNDARY)

    def all(self, kind: type[Entity]) -> Sequence[Entity]:
        return self._store.page(self._tx, kind, self._account, limit=rules.ACCOUNT_QUOTAS[kind][1])

    def policies(self, wanted: set[str]) -> Sequence[Entity]:
        """Of AWS's those that the account uses."""
        own = self.all(ManagedPolicy) if "LocalManagedPolicy" in wanted else ()
        used = [policy for arn, policy in managed.POLICIES.items() if arn in self._attached or arn in self._bounds]
        return [*own, *(used if "AWSManagedPolicy" in wanted else ())]

    def detail(self, entity: Entity) -> Detail:
        if isinstance(entity, User):
            groups = self._store.by_ids(self._tx, Group, self._account, entity.groups)
            return {
                **describe.user(entity),
                **_held(entity, "User"),
                "GroupList": [group.name for group in groups],
            }
        if isinstance(entity, Group):
            return {**describe.group(entity), **_held(entity, "Group")}
        if isinstance(entity, Role):
            return {
                **describe.nested_role(entity),
                **describe.boundary(entity),
                **_held(entity, "Role"),
                "Tags": describe.tags(entity.tags),
                "RoleLastUsed": describe.role_use(self._uses.find(entity.id)),
                "InstanceProfileList": self._profiles(entity),
            }
        assert isinstance(entity, ManagedPolicy)
        return {
            **describe.listed_policy(entity, self._attached.get(entity.arn, 0), self._bounds.get(entity.arn, 0)),
            "PolicyVersionList": [describe.version(entity, version) for version in reversed(entity.versions)],
        }

    def _profiles(self, role: Role) -> list[Detail]:
        found = self._store.referring(self._tx, InstanceProfile, self._account, Relation.ROLE, role.id)
        return [describe.instance_profile(profile, [role]) for profile in found]


def _page(found: Sequence[Entity], params: Mapping[str, Any], detail: Any) -> dict[str, Any]:
    order = list(_LISTS)

    def key(entity: Entity) -> str:
        return f"{order.index(entity.kind)} {entity.account == AWS:d} {key_of(entity.name)}"

    page = paging.of_all("Found", found, params, key, lambda entity: entity)
    shown: list[Entity] = page.pop("Found")
    for kind, member in _LISTS.items():
        page[member] = [detail(entity) for entity in shown if entity.kind == kind]
    return page


def _held(holder: Holder, noun: str) -> Detail:
    """What grants are on it, as details show them."""
    named = [(arn, path_and_name(arn)) for arn in holder.attached]
    return {
        f"{noun}PolicyList": [
            {"PolicyName": name, "PolicyDocument": describe.document(text)} for name, text in holder.inline.items()
        ],
        "AttachedManagedPolicies": [{"PolicyName": parts[2], "PolicyArn": arn} for arn, parts in named if parts],
    }


def _counted(counts: Mapping[str, int]) -> Mapping[str, int]:
    return {
        "Users": counts.get(User.kind, 0),
        "Groups": counts.get(Group.kind, 0),
        "Roles": counts.get(Role.kind, 0),
        "Policies": counts.get(ManagedPolicy.kind, 0),
        "InstanceProfiles": counts.get(InstanceProfile.kind, 0),
    }


#: What does not depend on the account: quotas, and what this region knows nothing of. A root key there always is.
_QUOTAS: Mapping[str, int] = {
    "AccessKeysPerUserQuota": rules.ACCESS_KEYS_PER_USER,
    "AccountAccessKeysPresent": 1,
    "AccountMFAEnabled": 0,
    "AccountPasswordPresent": 0,
    "AccountSigningCertificatesPresent": 0,
    "AssumeRolePolicySizeQuota": documents.TRUST_SIZE,
    "AttachedPoliciesPerGroupQuota": rules.ATTACHED_QUOTAS["group"][1],
    "AttachedPoliciesPerRoleQuota": rules.ATTACHED_QUOTAS["role"][1],
    "AttachedPoliciesPerUserQuota": rules.ATTACHED_QUOTAS["user"][1],
    "GlobalEndpointTokenVersion": 1,
    "GroupPolicySizeQuota": documents.INLINE_SIZES["group"],
    "GroupsPerUserQuota": rules.GROUPS_PER_USER,
    "GroupsQuota": rules.ACCOUNT_QUOTAS[Group][1],
    "InstanceProfilesQuota": rules.ACCOUNT_QUOTAS[InstanceProfile][1],
    "MFADevices": 0,
    "MFADevicesInUse": 0,
    "PoliciesQuota": rules.ACCOUNT_QUOTAS[ManagedPolicy][1],
    "PolicySizeQuota": documents.MANAGED_SIZE,
    "PolicyVersionsInUseQuota": 10000,
    "Providers": 0,
    "RolePolicySizeQuota": documents.INLINE_SIZES["role"],
    "RolesQuota": rules.ACCOUNT_QUOTAS[Role][1],
    "ServerCertificates": 0,
    "ServerCertificatesQuota": 20,
    "SigningCertificatesPerUserQuota": 2,
    "UserPolicySizeQuota": documents.INLINE_SIZES["user"],
    "UsersQuota": rules.ACCOUNT_QUOTAS[User][1],
    "VersionsPerPolicyQuota": rules.VERSIONS_PER_POLICY,
}
