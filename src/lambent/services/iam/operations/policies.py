"""Managed policies and their versions. Those of AWS can be seen and attached, never changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from lambent.context import Context
from lambent.services.iam import describe, documents, managed, paging, rules
from lambent.services.iam.domain import ROOT_PATH, ManagedPolicy, PolicyVersion, Relation, key_of, new_id
from lambent.services.iam.entities import Entities
from lambent.services.iam.errors import (
    DeleteConflictException,
    LimitExceededException,
    NoSuchEntityException,
    OutsideAccount,
)

Change = Callable[[Connection, ManagedPolicy], ManagedPolicy]


class _Use(NamedTuple):
    """How many entities of an account a policy is attached to, and limits."""

    attached: int
    bounds: int


class PolicyOperations:
    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    async def CreatePolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        document = params["PolicyDocument"]
        documents.check_managed(document)
        now = self._entities.now()
        made = ManagedPolicy(
            account=context.account,
            name=params["PolicyName"],
            path=params.get("Path") or ROOT_PATH,
            id=new_id(ManagedPolicy),
            created=now,
            updated=now,
            tags=rules.given_tags(params.get("Tags"), ManagedPolicy),
            description=params.get("Description"),
            versions=(PolicyVersion(number=1, document=document, created=now),),
        )
        await self._entities.create(made)
        return {"Policy": describe.created_policy(made)}

    async def GetPolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        arn = params["PolicyArn"]
        rules.check_policy_arn(arn)

        def read(tx: Connection) -> tuple[ManagedPolicy, _Use]:
            policy = self._entities.get_policy(tx, context.account, arn)
            return policy, self._use(tx, context.account, arn)

        policy, use = await self._entities.read(read)
        return {"Policy": describe.policy(policy, *use)}

    async def ListPolicies(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        prefix = params.get("PathPrefix") or "/"
        limit = rules.ACCOUNT_QUOTAS[ManagedPolicy][1]

        def read(tx: Connection) -> tuple[list[ManagedPolicy], Mapping[str, int], Mapping[str, int]]:
            store, account = self._entities.store, context.account
            own = store.page(tx, ManagedPolicy, account, limit=limit, prefix=prefix)
            attached, bounds = (
                store.reference_counts(tx, account, relation) for relation in (Relation.ATTACHED, Relation.BOUNDARY)
            )
            return own, attached, bounds

        own, attached, bounds = await self._entities.read(read)
        of_aws = [policy for policy in managed.POLICIES.values() if policy.path.startswith(prefix)]
        scopes = {"All": of_aws + own, "AWS": of_aws, "Local": own}
        uses = {
            policy.arn: _Use(attached.get(policy.arn, 0), bounds.get(policy.arn, 0))
            for policy in scopes[params.get("Scope") or "All"]
        }
        return paging.of_all(
            "Policies",
            [policy for policy in scopes[params.get("Scope") or "All"] if _is_wanted(uses[policy.arn], params)],
            params,
            lambda policy: f"{key_of(policy.name)} {policy.arn}",
            lambda policy: describe.listed_policy(policy, *uses[policy.arn]),
        )

    async def DeletePolicy(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        arn = params["PolicyArn"]
        rules.check_policy_arn(arn)

        def found(tx: Connection) -> ManagedPolicy:
            policy = self._entities.get_policy(tx, context.account, arn)
            _check_own(policy)
            if any(self._use(tx, context.account, arn)):
                raise DeleteConflictException("Cannot delete a policy attached to entities.")
            if len(policy.versions) > 1:
                raise DeleteConflictException(
                    "This policy has more than one version. Before you delete a policy, you must delete the policy's "
                    "versions. The default version is deleted with the policy."
                )
            return policy

        await self._entities.delete(found)
        return {}

    # ---- versions ----

    async def CreatePolicyVersion(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        document = params["PolicyDocument"]
        documents.check_managed(document)
        now = self._entities.now()

        def change(tx: Connection, policy: ManagedPolicy) -> ManagedPolicy:
            if len(policy.versions) >= rules.VERSIONS_PER_POLICY:
                raise LimitExceededException(
                    f"A managed policy can have up to {rules.VERSIONS_PER_POLICY} versions. Before you create a new "
                    "version, you must delete an existing version."
                )
            number = policy.last_number + 1
            version = PolicyVersion(number=number, document=document, created=now)
            default = number if params.get("SetAsDefault") else policy.default_number
            return msgspec.structs.replace(
                policy,
                versions=(*policy.versions, version),
                last_number=number,
                default_number=default,
                updated=now,
            )

        changed = await self._change(context, params["PolicyArn"], change)
        return {"PolicyVersion": describe.listed_version(changed, changed.versions[-1])}

    async def GetPolicyVersion(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        arn, version_id = params["PolicyArn"], params["VersionId"]
        rules.check_policy_arn(arn)
        policy = await self._entities.read(lambda tx: self._entities.store.find_policy(tx, context.account, arn))
        version = None if policy is None else policy.version(version_id)
        if policy is None or version is None:
            raise _no_version(arn, version_id)
        return {"PolicyVersion": describe.version(policy, version)}

    async def ListPolicyVersions(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The newest first."""
        arn = params["PolicyArn"]
        rules.check_policy_arn(arn)
        policy = await self._entities.read(lambda tx: self._entities.get_policy(tx, context.account, arn))
        return paging.of_all(
            "Versions",
            policy.versions,
            params,
            lambda version: f"{1_000_000_000 - version.number}",
            lambda version: describe.listed_version(policy, version),
        )

    async def SetDefaultPolicyVersion(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def change(tx: Connection, policy: ManagedPolicy) -> ManagedPolicy:
            return msgspec.structs.replace(policy, default_number=_version(policy, params).number)

        await self._change_version(context, params, change)
        return {}

    async def DeletePolicyVersion(self, context: Context, params: dict[str, Any]) -> dict[str, Any]:
        def change(tx: Connection, policy: ManagedPolicy) -> ManagedPolicy:
            version = _version(policy, params)
            if version.number == policy.default_number:
                raise DeleteConflictException("Cannot delete the default version of a policy.")
            rest = tuple(one for one in policy.versions if one.number != version.number)
            return msgspec.structs.replace(policy, versions=rest)

        await self._change_version(context, params, change)
        return {}

    # ---- what they share ----

    async def _change_version(self, context: Context, params: Mapping[str, Any], change: Change) -> None:
        arn = params["PolicyArn"]
        await self._change(context, arn, change, _no_version(arn, params["VersionId"]))

    async def _change(
        self, context: Context, arn: str, change: Change, missing: NoSuchEntityException | None = None
    ) -> ManagedPolicy:
        rules.check_policy_arn(arn)

        def change_own(tx: Connection, policy: ManagedPolicy) -> ManagedPolicy:
            _check_own(policy)
            return change(tx, policy)

        return await self._entities.change_policy(context.account, arn, change_own, missing)

    def _use(self, tx: Connection, account: str, arn: str) -> _Use:
        store = self._entities.store
        return _Use(
            store.count_referring(tx, account, Relation.ATTACHED, arn),
            store.count_referring(tx, account, Relation.BOUNDARY, arn),
        )


def _check_own(policy: ManagedPolicy) -> None:
    if policy.is_of_aws:
        raise OutsideAccount


def _is_wanted(use: _Use, params: Mapping[str, Any]) -> bool:
    """By `OnlyAttached` and `PolicyUsageFilter`."""
    usage = params.get("PolicyUsageFilter")
    if usage is None:
        return any(use) or not params.get("OnlyAttached")
    return bool(use.attached if usage == "PermissionsPolicy" else use.bounds)


def _version(policy: ManagedPolicy, params: Mapping[str, Any]) -> PolicyVersion:
    version = policy.version(params["VersionId"])
    if version is None:
        raise _no_version(policy.arn, params["VersionId"])
    return version


def _no_version(arn: str, version_id: str) -> NoSuchEntityException:
    return NoSuchEntityException(f"Policy {arn} version {version_id} does not exist or is not attachable.")
